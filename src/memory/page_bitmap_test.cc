#include "memory/page_bitmap.h"

#include <gtest/gtest.h>

#include <array>
#include <thread>
#include <vector>

namespace pagurus::memory {
namespace {

std::vector<PageRun> runs_of(const PageBitmap& bitmap) {
  std::vector<PageRun> runs;
  bitmap.for_each_run([&](PageRun run) { runs.push_back(run); });
  return runs;
}

TEST(PageBitmap, runs_come_back_as_they_were_set) {
  PageBitmap bitmap(1000);
  EXPECT_EQ(bitmap.count(), 0u);
  EXPECT_TRUE(runs_of(bitmap).empty());
  std::vector<PageRun> runs{{0, 1}, {63, 2}, {128, 64}, {200, 300}, {999, 1}};
  for (PageRun run : runs) bitmap.set(run);
  EXPECT_EQ(runs_of(bitmap), runs);
  EXPECT_EQ(bitmap.count(), 1u + 2 + 64 + 300 + 1);
  EXPECT_TRUE(bitmap.test(999));
  EXPECT_FALSE(bitmap.test(998));
  bitmap.clear({250, 100});
  EXPECT_EQ(runs_of(bitmap), (std::vector<PageRun>{{0, 1}, {63, 2}, {128, 64}, {200, 50}, {350, 150}, {999, 1}}));
}

TEST(PageBitmap, a_run_is_cut_where_asked) {
  PageBitmap bitmap(256);
  bitmap.set({10, 200});
  EXPECT_EQ(bitmap.next_run(0, 90), (PageRun{10, 90}));
  EXPECT_EQ(bitmap.next_run(190, 90), (PageRun{190, 20}));
  EXPECT_FALSE(bitmap.next_run(0, 0));
  EXPECT_FALSE(bitmap.next_run(256, 1));
}

TEST(PageBitmap, the_last_word_may_be_a_part) {
  PageBitmap bitmap(65);
  bitmap.set({0, 65});
  EXPECT_EQ(runs_of(bitmap), (std::vector<PageRun>{{0, 65}}));
}

TEST(PageBitmap, kvm_s_words_are_added_at_their_place) {
  PageBitmap bitmap(512);
  bitmap.set({130, 1});
  bitmap.add(128, std::array<uint64_t, 2>{1, 1ull << 63});
  EXPECT_EQ(runs_of(bitmap), (std::vector<PageRun>{{128, 1}, {130, 1}, {255, 1}}));
}

TEST(PageBitmap, taking_moves_the_bits) {
  PageBitmap from(300), to(300);
  from.set({100, 3});
  to.set({102, 2});
  to.take(from);
  EXPECT_EQ(from.count(), 0u);
  EXPECT_EQ(runs_of(to), (std::vector<PageRun>{{100, 4}}));
}

// Each writer numbers its writes; the number that the taker has seen at last is the last one.
TEST(PageBitmap, no_write_is_missed_while_bits_are_taken) {
  constexpr uint64_t kPages = 8;
  constexpr uint32_t kWrites = 20'000;
  PageBitmap log(kPages);
  std::array<std::atomic<uint32_t>, kPages> pages{};
  std::array<uint32_t, kPages> seen{};
  std::atomic<unsigned> done{0};
  auto write = [&](uint64_t page) {
    for (uint32_t i = 1; i <= kWrites; ++i) {
      pages[page].store(i, std::memory_order_relaxed);
      log.set({page, 1});
    }
    ++done;
  };
  std::thread first(write, 0), second(write, 5);
  for (bool last = false; !last;) {
    last = done == 2;
    PageBitmap taken(kPages);
    taken.take(log);
    for (uint64_t page = 0; page < kPages; ++page) {
      if (taken.test(page)) seen[page] = pages[page].load(std::memory_order_relaxed);
    }
  }
  first.join();
  second.join();
  EXPECT_EQ(seen[0], kWrites);
  EXPECT_EQ(seen[5], kWrites);
}

}  // namespace
}  // namespace pagurus::memory
