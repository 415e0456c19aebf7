// Fills and checks the pattern with few instructions per word.

#include "guest/pattern.h"

#include "guest/cpu.h"

namespace pagurus::guest {
namespace {

constexpr uint64_t kPageSize = 4096;
constexpr uint64_t kKey = 0x9e3779b97f4a7c15;
constexpr uint64_t kChangingPages = 64;  // one page in this many
constexpr unsigned kGroup = 16;

volatile uint64_t* word_at(uint64_t address) { return reinterpret_cast<volatile uint64_t*>(address); }

void fill_page(uint64_t page, uint64_t stride, uint64_t key) {
  for (uint64_t at = page; at < page + kPageSize; at += stride) *word_at(at) = at ^ key;
}

}  // namespace

uint64_t Pattern::key_of_page(uint64_t page) const {
  const uint64_t number = (page - base_) / kPageSize;
  return number % kChangingPages == 0 ? kKey + (generation_ << 32) : kKey;
}

void Pattern::fill(uint64_t base, uint64_t size, uint64_t stride) {
  base_ = base;
  size_ = size;
  stride_ = stride;
  for (uint64_t page = base; page < base + size; page += kPageSize) fill_page(page, stride, key_of_page(page));
  cursor_ = base;
  page_key_ = key_of_page(base);
}

void Pattern::mismatch(uint64_t address) {
  if (errors_++ == 0) first_error_address_ = address;
}

void Pattern::check_words(unsigned count) {
  words_checked_ += count;
  while (count-- != 0) {
    if (*word_at(cursor_) != (cursor_ ^ page_key_)) mismatch(cursor_);
    cursor_ += stride_;
    if (cursor_ % kPageSize != 0) continue;
    if (cursor_ == base_ + size_) finish_pass();
    page_key_ = key_of_page(cursor_);
  }
}

void Pattern::finish_pass() {
  cursor_ = base_;
  ++passes_;
  ++generation_;
  for (uint64_t page = base_; page < base_ + size_; page += kPageSize * kChangingPages) {
    fill_page(page, stride_, key_of_page(page));
    ++pages_rewritten_;
  }
}

void Pattern::check_slice(uint64_t budget, const volatile uint16_t* stop_when_changed, uint16_t unchanged) {
  if (size_ == 0) return;
  const uint64_t start = read_tsc();
  do {
    check_words(kGroup);
  } while (*stop_when_changed == unchanged && read_tsc() - start < budget);
}

uint64_t Pattern::check_all() {
  uint64_t wrong = 0;
  for (uint64_t page = base_; page < base_ + size_; page += kPageSize) {
    const uint64_t key = key_of_page(page);
    for (uint64_t at = page; at < page + kPageSize; at += stride_) {
      if (*word_at(at) != (at ^ key)) {
        ++wrong;
        mismatch(at);
      }
    }
  }
  words_checked_ += size_ / stride_;
  return wrong;
}

}  // namespace pagurus::guest
