// Whether a page of RAM is zero, as fast as memory can be read.
#pragma once

#include <cstdint>
#include <cstring>

#include "memory/page_bitmap.h"

namespace pagurus::memory {

// Its first word is 0, and it is equal to itself moved by a word.
inline bool is_zero_page(const uint8_t* page) {
  uint64_t first = 0;
  std::memcpy(&first, page, sizeof first);
  return first == 0 && std::memcmp(page, page + sizeof first, kPageSize - sizeof first) == 0;
}

}  // namespace pagurus::memory
