// Word splitting and number conversion.

#include "guest/text.h"

namespace pagurus::guest {
namespace {

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\0'; }

unsigned digit_value(char c) {
  if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<unsigned>(c - 'a' + 10);
  if (c >= 'A' && c <= 'F') return static_cast<unsigned>(c - 'A' + 10);
  return 99;
}

unsigned suffix_shift(char c) {
  switch (c) {
    case 'K':
    case 'k': return 10;
    case 'M':
    case 'm': return 20;
    case 'G':
    case 'g': return 30;
    default: return 0;
  }
}

}  // namespace

TextView take_word(TextView& rest) {
  while (rest.size != 0 && is_blank(rest.data[0])) rest = rest.from(1);
  size_t n = 0;
  while (n < rest.size && !is_blank(rest.data[n])) ++n;
  const TextView word{rest.data, n};
  rest = rest.from(n);
  return word;
}

ParsedNumber parse_number(TextView text) {
  unsigned base = 10;
  if (text.starts_with("0x")) {
    base = 16;
    text = text.from(2);
  }
  if (text.size == 0) return {};
  const unsigned shift = suffix_shift(text.data[text.size - 1]);
  if (shift != 0) --text.size;
  if (text.size == 0) return {};
  uint64_t value = 0;
  for (size_t i = 0; i < text.size; ++i) {
    const unsigned digit = digit_value(text.data[i]);
    if (digit >= base) return {};
    value = value * base + digit;
  }
  return {true, value << shift};
}

size_t format_decimal(uint64_t value, char* out) {
  char reversed[20];
  size_t n = 0;
  do {
    reversed[n++] = static_cast<char>('0' + value % 10);
    value /= 10;
  } while (value != 0);
  for (size_t i = 0; i < n; ++i) out[i] = reversed[n - 1 - i];
  return n;
}

size_t format_hex(uint64_t value, char* out) {
  size_t n = 0;
  out[n++] = '0';
  out[n++] = 'x';
  int shift = 60;
  while (shift > 0 && (value >> shift) == 0) shift -= 4;
  for (; shift >= 0; shift -= 4) out[n++] = "0123456789abcdef"[(value >> shift) & 15];
  return n;
}

}  // namespace pagurus::guest
