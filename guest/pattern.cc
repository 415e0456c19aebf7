// Fills and checks the pattern with few instructions per word.

#include "guest/pattern.h"

#include "guest/cpu.h"

namespace pagurus::guest {
namespace {

constexpr uint64_t kPageSize = 4096;
constexpr uint64_t kKey = 0x9e3779b97f4a7c15;
constexpr uint64_t kChangingPages = 64;  // one page in this many

volatile uint64_t* word_at(uint64_t address) { return reinterpret_cast<volatile uint64_t*>(address); }

void fill_page(uint64_t page, uint64_t stride, uint64_t key) {
  for (uint64_t at = page; at < page + kPageSize;) {
#pragma GCC unroll 8
    for (unsigned i = 0; i < Pattern::kGroup; ++i, at += stride) *word_at(at) = at + key;
  }
}

// True if all words of the group that begins at `at` are right.  Four instructions a word.
bool group_is_right(uint64_t at, uint64_t stride, uint64_t key) {
  uint64_t expected = at + key;
#pragma GCC unroll 8
  for (unsigned i = 0; i < Pattern::kGroup; ++i, at += stride, expected += stride) {
    if (*word_at(at) != expected) return false;
  }
  return true;
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

// Checks the group at the cursor and moves on; returns the number of wrong words.
uint64_t Pattern::check_group() {
  uint64_t wrong = 0;
  if (!group_is_right(cursor_, stride_, page_key_)) {
    for (uint64_t at = cursor_; at < cursor_ + kGroup * stride_; at += stride_) {
      if (*word_at(at) == at + page_key_) continue;
      mismatch(at);
      ++wrong;
    }
  }
  words_checked_ += kGroup;
  cursor_ += kGroup * stride_;
  if (cursor_ % kPageSize == 0) {
    if (cursor_ == base_ + size_) finish_pass();
    page_key_ = key_of_page(cursor_);
  }
  return wrong;
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

void Pattern::check_slice(uint64_t budget, Watch watch) {
  if (size_ == 0) return;
  const uint64_t start = read_tsc();
  do {
    check_group();
  } while (*watch.word == watch.unchanged && read_tsc() - start < budget);
}

uint64_t Pattern::check_all() {
  uint64_t wrong = 0;
  for (uint64_t left = size_ / stride_ / kGroup; left != 0; --left) wrong += check_group();
  return wrong;
}

}  // namespace pagurus::guest
