// A region of RAM with known contents, checked again and again.
#pragma once

#include <cstdint>

#include "guest/ring.h"

namespace pagurus::guest {

// The word at address a holds a + key, so a page that moved, got lost or was copied to the wrong place is noticed.
// After each complete pass one page in sixty-four gets another key: RAM that stayed behind in its state of some
// seconds ago is noticed as well.  Not every word need be used: `stride` bytes lie between two of them.
class Pattern {
 public:
  // A page holds at least one group of words, the unit of checking.
  static constexpr unsigned kGroup = 8;
  static constexpr uint64_t kMaxStride = 4096 / kGroup;

  // `base`, `size`: multiples of 4096; `stride`: power of two from 8 to kMaxStride.
  void fill(uint64_t base, uint64_t size, uint64_t stride);

  // Checks words for about `budget` TSC ticks, at least one group.  Stops early when the watched word changes:
  // a packet came in.
  void check_slice(uint64_t budget, Watch watch);

  // Checks the whole region now; returns the number of wrong words.
  uint64_t check_all();

  uint64_t base() const { return base_; }
  uint64_t size() const { return size_; }
  uint64_t stride() const { return stride_; }
  uint64_t words_checked() const { return words_checked_; }
  uint64_t passes() const { return passes_; }
  uint64_t errors() const { return errors_; }
  uint64_t first_error_address() const { return first_error_address_; }
  uint64_t pages_rewritten() const { return pages_rewritten_; }

 private:
  uint64_t key_of_page(uint64_t page) const;
  uint64_t check_group();
  void mismatch(uint64_t address);
  void finish_pass();

  uint64_t base_ = 0;
  uint64_t size_ = 0;
  uint64_t stride_ = 64;
  uint64_t cursor_ = 0;      // next address to check
  uint64_t page_key_ = 0;    // key of the cursor's page
  uint64_t generation_ = 0;  // how often the changing pages were rewritten
  uint64_t words_checked_ = 0;
  uint64_t passes_ = 0;
  uint64_t errors_ = 0;
  uint64_t first_error_address_ = 0;
  uint64_t pages_rewritten_ = 0;
};

}  // namespace pagurus::guest
