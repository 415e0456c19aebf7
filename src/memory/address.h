// GuestAddress: a guest-physical address is a type, never an integer.
#pragma once

#include <compare>
#include <cstdint>

namespace pagurus::memory {

struct GuestAddress {
  uint64_t value = 0;

  auto operator<=>(const GuestAddress&) const = default;
  // Addition wraps as the hardware's does; GuestMemory refuses what leaves RAM.
  GuestAddress operator+(uint64_t bytes) const { return {value + bytes}; }
  uint64_t operator-(GuestAddress other) const { return value - other.value; }
};

}  // namespace pagurus::memory
