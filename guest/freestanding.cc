// The functions that the compiler may call even in freestanding code.

#include <cstddef>
#include <cstdint>

extern "C" {

void* memcpy(void* to, const void* from, size_t n) {
  auto* d = static_cast<uint8_t*>(to);
  auto* s = static_cast<const uint8_t*>(from);
  // Eight bytes a step: where instructions are emulated, their number is what costs.
  for (; n >= 8; n -= 8, d += 8, s += 8) {
    uint64_t word;
    __builtin_memcpy(&word, s, 8);
    __builtin_memcpy(d, &word, 8);
  }
  for (; n != 0; --n) *d++ = *s++;
  return to;
}

void* memmove(void* to, const void* from, size_t n) {
  auto* d = static_cast<uint8_t*>(to);
  auto* s = static_cast<const uint8_t*>(from);
  if (d <= s || d >= s + n) return memcpy(to, from, n);
  while (n != 0) {
    --n;
    d[n] = s[n];
  }
  return to;
}

void* memset(void* to, int value, size_t n) {
  auto* d = static_cast<uint8_t*>(to);
  const uint64_t word = 0x0101010101010101u * static_cast<uint8_t>(value);
  for (; n >= 8; n -= 8, d += 8) __builtin_memcpy(d, &word, 8);
  for (; n != 0; --n) *d++ = static_cast<uint8_t>(value);
  return to;
}

int memcmp(const void* left, const void* right, size_t n) {
  auto* a = static_cast<const uint8_t*>(left);
  auto* b = static_cast<const uint8_t*>(right);
  for (; n != 0; --n, ++a, ++b) {
    if (*a != *b) return *a < *b ? -1 : 1;
  }
  return 0;
}

size_t strlen(const char* text) {
  size_t n = 0;
  while (text[n] != '\0') ++n;
  return n;
}

}  // extern "C"
