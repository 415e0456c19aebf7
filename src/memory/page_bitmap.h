// One bit for each page of RAM, in the order of the RAM file (guest_memory.h): which pages have been
// written, or are still to be sent.
//
// Threads: set() and take() from any, at the same time; the rest belongs to one thread at a time.
// Whoever sets a page's bit after writing to the page, and whoever reads the page after taking its
// bit, are in order: the reader sees the write, or the bit is set again.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

namespace pagurus::memory {

// Of dirty logs and of copied RAM, whatever page size backs the RAM.
inline constexpr uint64_t kPageSize = 4096;

struct PageRun {
  uint64_t first = 0;
  uint64_t count = 0;
  bool operator==(const PageRun&) const = default;
};

class PageBitmap {
 public:
  // All clear.
  explicit PageBitmap(uint64_t pages);

  uint64_t pages() const { return pages_; }
  bool test(uint64_t page) const;
  uint64_t count() const;
  // The first run of set pages at or behind `from`, cut to at most `most` pages.
  std::optional<PageRun> next_run(uint64_t from, uint64_t most) const;
  template <class Function>
  void for_each_run(Function function) const {
    uint64_t at = 0;
    while (auto run = next_run(at, pages_)) {
      function(*run);
      at = run->first + run->count;
    }
  }

  void set(PageRun run);
  void clear(PageRun run);
  // Adds the set bits of `words`, whose bit 0 is page `first`, a multiple of 64: KVM's format.
  void add(uint64_t first, std::span<const uint64_t> words);
  // Adds the set bits of `other`, which has as many pages, and clears them there.
  void take(PageBitmap& other);

 private:
  uint64_t words() const { return (pages_ + 63) / 64; }
  // Calls with each word that `run` touches, and the run's part of it as a mask.
  template <class Function>
  void for_words(PageRun run, Function function);

  uint64_t pages_;
  std::unique_ptr<std::atomic<uint64_t>[]> bits_;
};

}  // namespace pagurus::memory
