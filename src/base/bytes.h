// Little-endian integers in byte buffers: the order of virtio, PCI, ACPI and our own stream.
#pragma once

#include <bit>
#include <concepts>
#include <cstdint>
#include <cstring>

namespace pagurus {

static_assert(std::endian::native == std::endian::little, "Pagurus runs on x86-64 only");

template <std::integral T>
T load_le(const void* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

template <std::integral T>
void store_le(void* to, T value) {
  std::memcpy(to, &value, sizeof value);
}

}  // namespace pagurus
