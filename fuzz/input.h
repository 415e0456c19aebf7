// Takes a fuzzer's bytes apart into numbers and pieces; what lies behind the end is zero.
#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>

namespace pagurus::fuzz {

class Input {
 public:
  Input(const uint8_t* data, size_t size) : rest_(data, size) {}

  bool empty() const { return rest_.empty(); }
  std::span<const uint8_t> take(size_t size) {
    auto piece = rest_.first(std::min(size, rest_.size()));
    rest_ = rest_.subspan(piece.size());
    return piece;
  }
  template <std::unsigned_integral T>
  T number() {
    uint64_t value = 0;
    unsigned shift = 0;
    for (uint8_t byte : take(sizeof(T))) {
      value |= uint64_t{byte} << shift;
      shift += 8;
    }
    return static_cast<T>(value);
  }
  // A piece that says its length first.
  std::span<const uint8_t> piece() { return take(number<uint16_t>()); }
  std::span<const uint8_t> rest() { return take(rest_.size()); }

 private:
  std::span<const uint8_t> rest_;
};

}  // namespace pagurus::fuzz
