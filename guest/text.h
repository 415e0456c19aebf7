// Text without a library: a view, a builder with a fixed buffer, and number parsing.
#pragma once

#include <cstddef>
#include <cstdint>

namespace pagurus::guest {

// A view of bytes somebody else owns.
struct TextView {
  const char* data = nullptr;
  size_t size = 0;

  constexpr TextView() = default;
  constexpr TextView(const char* d, size_t n) : data(d), size(n) {}
  constexpr TextView(const char* zero_terminated)  // NOLINT: literals shall convert
      : data(zero_terminated), size(__builtin_strlen(zero_terminated)) {}

  bool operator==(TextView other) const { return size == other.size && __builtin_memcmp(data, other.data, size) == 0; }
  bool starts_with(TextView prefix) const {
    return size >= prefix.size && __builtin_memcmp(data, prefix.data, prefix.size) == 0;
  }
  TextView from(size_t offset) const { return {data + offset, size - offset}; }
};

// Cuts the first word (separated by blanks or line ends) off `rest`; empty when there is none.
TextView take_word(TextView& rest);

// Decimal or 0x-hexadecimal, with an optional K, M or G; false if it is no number.
struct ParsedNumber {
  bool ok = false;
  uint64_t value = 0;
};
ParsedNumber parse_number(TextView text);

// Digits of a number, most significant first; returns how many were written (at most 20).
size_t format_decimal(uint64_t value, char* out);
size_t format_hex(uint64_t value, char* out);

// Builds a line in a buffer of its own; what does not fit is cut off.
template <size_t N>
class Text {
 public:
  Text& put(TextView t) {
    const size_t n = t.size < N - size_ ? t.size : N - size_;
    __builtin_memcpy(buffer_ + size_, t.data, n);
    size_ += n;
    return *this;
  }
  Text& dec(uint64_t value) {
    char digits[20];
    return put({digits, format_decimal(value, digits)});
  }
  Text& hex(uint64_t value) {
    char digits[18];
    return put({digits, format_hex(value, digits)});
  }
  // One line of a control reply.
  Text& pair(TextView key, uint64_t value) { return put(key).put("=").dec(value).put("\n"); }

  TextView view() const { return {buffer_, size_}; }

 private:
  char buffer_[N];
  size_t size_ = 0;
};

}  // namespace pagurus::guest
