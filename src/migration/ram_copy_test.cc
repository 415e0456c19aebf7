// RAM on its way from a RamSource to a RamSink.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstring>
#include <random>

#include "migration/ram_sink.h"
#include "migration/ram_source.h"

namespace pagurus::migration {
namespace {

using memory::GuestMemory;
using memory::kMiB;
using memory::kPageSize;

constexpr int64_t kMs = 1'000'000;

GuestMemory make(uint64_t size) {
  auto memory = *GuestMemory::create(size, memory::Pages::kSmall);
  EXPECT_TRUE(memory.allocate());
  return memory;
}

// A machine without vCPUs: all that is written is written by devices.
class DeviceRam final : public machine::LoggedRam {
 public:
  explicit DeviceRam(uint64_t size) : memory_(make(size)) {}
  GuestMemory& ram() override { return memory_; }
  Result<void> start_dirty_log() override {
    logs = true;
    return memory_.start_dirty_log();
  }
  Result<void> collect_dirty(memory::PageBitmap& into) override {
    memory_.take_dirty(into);
    return {};
  }
  void stop_dirty_log() override {
    logs = false;
    memory_.stop_dirty_log();
  }
  bool logs = false;

 private:
  GuestMemory memory_;
};

void fill(const GuestMemory& memory, uint64_t offset, uint64_t pages, uint8_t value) {
  ASSERT_TRUE(memory.write({offset}, std::vector<uint8_t>(pages * kPageSize, value)));
}

uint64_t allocated(const GuestMemory& memory) {
  struct stat info {};
  EXPECT_EQ(::fstat(memory.fd(), &info), 0);
  return static_cast<uint64_t>(info.st_blocks) * 512;
}

struct RamCopyTest : ::testing::Test {
  void send_all(size_t max_bytes = 64 * 1024) {
    while (auto message = source->next(max_bytes)) {
      ++messages;
      auto applied = sink.apply(*message);
      ASSERT_TRUE(applied) << applied.error().message();
    }
  }
  bool equal() { return std::memcmp(from.ram().host_base(), to.host_base(), to.size()) == 0; }
  void begin() {
    source = std::make_unique<RamSource>(from);
    ASSERT_TRUE(source->begin(0));
  }

  DeviceRam from{64 * kMiB};
  GuestMemory to = make(64 * kMiB);
  RamSink sink{to};
  std::unique_ptr<RamSource> source;
  unsigned messages = 0;
};

TEST_F(RamCopyTest, the_first_round_sends_what_was_touched_and_nothing_else) {
  fill(from.ram(), 0, 3, 1);
  fill(from.ram(), 10 * kMiB, 100, 2);
  fill(from.ram(), 64 * kMiB - kPageSize, 1, 3);
  fill(from.ram(), 20 * kMiB, 5, 0);
  begin();
  EXPECT_TRUE(from.logs);
  EXPECT_EQ(source->remaining_pages(), 3u + 100 + 1 + 5);
  auto first = source->next(16 * kPageSize);
  ASSERT_TRUE(first);
  ASSERT_EQ(first->runs.size(), 2u) << "neighbours are one run";
  EXPECT_EQ(first->runs[0].pages, 3u);
  EXPECT_EQ(first->runs[1].offset, 10 * kMiB);
  EXPECT_EQ(first->runs[1].pages, 13u);
  EXPECT_EQ(first->data.size(), 16 * kPageSize);
  ASSERT_TRUE(sink.apply(*first));
  send_all();
  EXPECT_FALSE(source->next(1));
  EXPECT_LE(allocated(from.ram()), 110 * kPageSize) << "reading allocated";
  EXPECT_LE(allocated(to), 105 * kPageSize) << "zero pages were allocated";
  EXPECT_TRUE(equal());
  RamStatistics statistics = source->statistics();
  EXPECT_EQ(statistics.normal, 104u);
  EXPECT_EQ(statistics.normal_bytes, 104 * kPageSize);
  EXPECT_EQ(statistics.duplicate, 5u);
  EXPECT_EQ(statistics.total, 64 * kMiB);
  EXPECT_EQ(statistics.remaining, 0u);
  EXPECT_EQ(statistics.page_size, 4096u);
  EXPECT_EQ(statistics.dirty_sync_count, 1u);
  EXPECT_EQ(statistics.transferred, statistics.precopy_bytes);
  source.reset();
  EXPECT_FALSE(from.logs);
}

TEST_F(RamCopyTest, what_is_written_meanwhile_is_sent_again) {
  fill(from.ram(), 0, 64, 1);
  begin();
  ASSERT_TRUE(sink.apply(*source->next(32 * kPageSize)));
  fill(from.ram(), 0, 1, 2);               // sent already
  fill(from.ram(), 40 * kPageSize, 1, 3);  // not yet
  fill(from.ram(), 30 * kMiB, 2, 4);       // never touched before
  send_all();
  EXPECT_FALSE(equal());
  ASSERT_TRUE(source->sync(1000 * kMs));
  EXPECT_EQ(source->remaining_pages(), 4u);
  EXPECT_EQ(source->statistics().dirty_pages_rate, 4u);
  send_all();
  EXPECT_TRUE(equal());
  ASSERT_TRUE(source->sync(2000 * kMs));
  EXPECT_EQ(source->remaining_pages(), 0u);
  EXPECT_EQ(source->statistics().dirty_sync_count, 3u);
}

TEST_F(RamCopyTest, what_a_running_guest_wrote_in_a_second_is_still_told_when_it_is_held_still) {
  begin();
  fill(from.ram(), 0, 4, 1);
  ASSERT_TRUE(source->sync(1000 * kMs));
  source->begin_pause();
  ASSERT_TRUE(source->sync(1001 * kMs));
  EXPECT_EQ(source->statistics().dirty_pages_rate, 4u);
}

TEST_F(RamCopyTest, a_page_that_becomes_zero_is_sent_as_zero) {
  fill(from.ram(), 0, 2048, 7);
  begin();
  send_all();
  fill(from.ram(), 100 * kPageSize, 1500, 0);
  fill(from.ram(), 3 * kPageSize, 1, 0);
  ASSERT_TRUE(source->sync(kMs));
  auto message = source->next(kMiB);
  ASSERT_TRUE(message);
  EXPECT_TRUE(message->data.empty());
  ASSERT_EQ(message->runs.size(), 2u) << "neighbours are one run";
  ASSERT_TRUE(sink.apply(*message));
  send_all();
  EXPECT_EQ(allocated(to), 1024 * kPageSize) << "whole huge pages are given back";
  EXPECT_TRUE(equal());
}

TEST_F(RamCopyTest, a_random_guest_arrives_exactly) {
  std::mt19937 random(4711);
  auto any = [&](uint64_t below) { return std::uniform_int_distribution<uint64_t>(0, below - 1)(random); };
  auto write_somewhere = [&] {
    uint64_t page = any(16384 - 40);
    fill(from.ram(), page * kPageSize, 1 + any(40), static_cast<uint8_t>(any(3)));
    from.ram().write_value<uint8_t>({any(64 * kMiB)}, static_cast<uint8_t>(any(256)));
  };
  for (int i = 0; i < 200; ++i) write_somewhere();
  begin();
  for (int round = 1; round < 10; ++round) {
    while (auto message = source->next(1 + any(300'000))) {
      EXPECT_LE(message->data.size(), 300'000u);
      ASSERT_TRUE(sink.apply(*message));
      if (any(4) == 0) write_somewhere();
    }
    ASSERT_TRUE(source->sync(round * 100 * kMs));
  }
  write_somewhere();
  source->begin_pause();
  ASSERT_TRUE(source->sync(2000 * kMs));
  send_all();
  EXPECT_EQ(source->remaining_pages(), 0u);
  EXPECT_TRUE(equal());
  RamStatistics statistics = source->statistics();
  EXPECT_GT(statistics.downtime_bytes, 0u);
  EXPECT_EQ(statistics.transferred, statistics.precopy_bytes + statistics.downtime_bytes);
}

TEST_F(RamCopyTest, a_message_has_no_more_runs_than_fit) {
  for (uint64_t page = 0; page < 12000; page += 2) from.ram().write_value<uint8_t>({page * kPageSize}, 1);
  begin();
  while (auto message = source->next(wire::kMaxRamBytes)) {
    EXPECT_LE(message->runs.size(), wire::kMaxRuns);
    ASSERT_TRUE(sink.apply(*message));
  }
  EXPECT_TRUE(equal());
}

TEST_F(RamCopyTest, it_has_converged_when_the_rest_fits_into_the_pause) {
  fill(from.ram(), 0, 2500, 1);
  begin();
  EXPECT_EQ(source->bandwidth(), 0u);
  EXPECT_FALSE(source->converged(300, 0)) << "nothing is known";
  send_all();
  // 10 MB in 100 ms.
  ASSERT_TRUE(source->sync(100 * kMs));
  EXPECT_NEAR(static_cast<double>(source->bandwidth()), 102.4e6, 1e6);
  EXPECT_NEAR(source->statistics().mbps, 819, 8);
  EXPECT_TRUE(source->converged(1, 0)) << "nothing is left";
  fill(from.ram(), 0, 250, 1);  // 1 MB: 10 ms
  // A round that a socket's buffer swallows says little beside the one before.
  ASSERT_TRUE(source->sync(100 * kMs + 1000));
  EXPECT_FALSE(source->converged(9, source->bandwidth()));
  EXPECT_TRUE(source->converged(11, source->bandwidth()));
  EXPECT_EQ(source->statistics().remaining, 250 * kPageSize);
}

struct RamSinkTest : ::testing::Test {
  std::string refusal(std::vector<wire::RamRun> runs, size_t data) {
    auto applied = sink.apply({.runs = std::move(runs), .data = std::vector<uint8_t>(data, 0xee)});
    return applied ? "accepted" : applied.error().message();
  }
  GuestMemory ram = make(64 * kMiB);
  RamSink sink{ram};
};

TEST_F(RamSinkTest, a_run_that_is_wrong_is_refused_by_its_number) {
  const wire::RamRun good{.offset = 0, .pages = 1, .zero = false};
  auto expect = [&](wire::RamRun bad, size_t data, const char* part) {
    std::string text = refusal({good, bad}, kPageSize + data);
    EXPECT_NE(text.find("run 1"), std::string::npos) << text;
    EXPECT_NE(text.find(part), std::string::npos) << text;
  };
  expect({.offset = 100, .pages = 1}, kPageSize, "inside a page");
  expect({.offset = 4096, .pages = 0}, 0, "no pages");
  expect({.offset = 64 * kMiB, .pages = 1}, kPageSize, "leaves the RAM");
  expect({.offset = 64 * kMiB - kPageSize, .pages = 2}, 2 * kPageSize, "leaves the RAM");
  expect({.offset = ~uint64_t{0} - 4095, .pages = 1}, kPageSize, "leaves the RAM");
  expect({.offset = 0, .pages = ~uint32_t{0}, .zero = true}, 0, "leaves the RAM");
  expect({.offset = 4096, .pages = 2}, kPageSize, "beyond the 8192 bytes of data");
  EXPECT_NE(refusal({good}, 2 * kPageSize).find("8192 bytes of data where the runs need 4096"), std::string::npos);
  EXPECT_NE(refusal({}, 1).find("1 bytes of data"), std::string::npos);
  EXPECT_EQ(ram.read_value<uint8_t>({0}), 0u) << "a refused message has changed RAM";
  EXPECT_EQ(refusal({good, {.offset = 64 * kMiB - kPageSize, .pages = 1}}, 2 * kPageSize), "accepted");
  EXPECT_EQ(ram.read_value<uint8_t>({64 * kMiB - 1}), 0xeeu);
  EXPECT_EQ(refusal({}, 0), "accepted");
}

TEST_F(RamSinkTest, zero_runs_clear_exactly_their_pages) {
  fill(ram, 0, 4096, 5);
  const uint64_t first = 100, count = 3000;  // parts of huge pages at both ends
  ASSERT_EQ(refusal({{.offset = first * kPageSize, .pages = count, .zero = true}}, 0), "accepted");
  for (uint64_t page = 0; page < 4096; ++page) {
    bool cleared = page >= first && page < first + count;
    ASSERT_EQ(*ram.read_value<uint64_t>({page * kPageSize}), cleared ? 0u : 0x0505050505050505u) << page;
  }
  EXPECT_EQ(refusal({{.offset = 20 * kMiB, .pages = 9000, .zero = true}}, 0), "accepted");
  EXPECT_LE(allocated(ram), 16 * kMiB);
}

TEST_F(RamSinkTest, huge_pages_are_cleared_in_parts) {
  auto huge = *GuestMemory::create(64 * kMiB, memory::Pages::kHuge2M);
  if (auto allocated_huge = huge.allocate(); !allocated_huge) GTEST_SKIP() << allocated_huge.error().message();
  RamSink to_huge(huge);
  fill(huge, 0, 2048, 5);
  ASSERT_TRUE(to_huge.apply({.runs = {{.offset = kPageSize, .pages = 1500, .zero = true}}, .data = {}}));
  for (uint64_t page = 0; page < 2048; ++page) {
    ASSERT_EQ(*huge.read_value<uint8_t>({page * kPageSize}), page >= 1 && page < 1501 ? 0 : 5) << page;
  }
}

}  // namespace
}  // namespace pagurus::migration
