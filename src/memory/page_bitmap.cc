#include "memory/page_bitmap.h"

#include <algorithm>
#include <bit>

#include "base/result.h"

namespace pagurus::memory {

PageBitmap::PageBitmap(uint64_t pages) : pages_(pages), bits_(new std::atomic<uint64_t>[words()]()) {}

bool PageBitmap::test(uint64_t page) const {
  return (bits_[page / 64].load(std::memory_order_relaxed) >> page % 64 & 1) != 0;
}

uint64_t PageBitmap::count() const {
  uint64_t count = 0;
  for (uint64_t i = 0; i < words(); ++i) {
    count += static_cast<uint64_t>(std::popcount(bits_[i].load(std::memory_order_relaxed)));
  }
  return count;
}

std::optional<PageRun> PageBitmap::next_run(uint64_t from, uint64_t most) const {
  // The first page at or behind `page` whose bit is `wanted`, or pages_.
  auto find = [this](uint64_t page, uint64_t end, bool wanted) {
    while (page < end) {
      uint64_t word = bits_[page / 64].load(std::memory_order_relaxed);
      uint64_t ahead = (wanted ? word : ~word) >> page % 64;
      if (ahead != 0) return std::min(end, page + static_cast<uint64_t>(std::countr_zero(ahead)));
      page = (page / 64 + 1) * 64;
    }
    return end;
  };
  uint64_t first = find(from, pages_, true);
  if (first >= pages_ || most == 0) return std::nullopt;
  uint64_t end = find(first, first + std::min(most, pages_ - first), false);
  return PageRun{.first = first, .count = end - first};
}

template <class Function>
void PageBitmap::for_words(PageRun run, Function function) {
  CHECK(run.first <= pages_ && run.count <= pages_ - run.first, "a run of pages lies in RAM");
  uint64_t end = run.first + run.count;
  for (uint64_t page = run.first; page < end;) {
    uint64_t next = std::min(end, (page / 64 + 1) * 64);
    function(bits_[page / 64], (next - page == 64 ? ~uint64_t{0} : (uint64_t{1} << (next - page)) - 1) << page % 64);
    page = next;
  }
}

// Also where the bits are set already: only the write to the bit comes after the write to the page.
void PageBitmap::set(PageRun run) {
  for_words(run, [](std::atomic<uint64_t>& word, uint64_t mask) { word.fetch_or(mask, std::memory_order_acq_rel); });
}

void PageBitmap::clear(PageRun run) {
  for_words(run, [](std::atomic<uint64_t>& word, uint64_t mask) { word.fetch_and(~mask, std::memory_order_acq_rel); });
}

void PageBitmap::add(uint64_t first, std::span<const uint64_t> added) {
  CHECK(first % 64 == 0 && first / 64 + added.size() <= words(), "a part of a bitmap lies in it");
  std::atomic<uint64_t>* to = &bits_[first / 64];
  for (uint64_t word : added) {
    if (word != 0) to->fetch_or(word, std::memory_order_acq_rel);
    ++to;
  }
}

void PageBitmap::take(PageBitmap& other) {
  CHECK(pages_ == other.pages_, "both bitmaps are of the same RAM");
  for (uint64_t i = 0; i < words(); ++i) {
    if (other.bits_[i].load(std::memory_order_relaxed) == 0) continue;
    bits_[i].fetch_or(other.bits_[i].exchange(0, std::memory_order_acq_rel), std::memory_order_acq_rel);
  }
}

}  // namespace pagurus::memory
