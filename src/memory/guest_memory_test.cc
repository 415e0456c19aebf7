#include "memory/guest_memory.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace pagurus::memory {
namespace {

GuestMemory make(uint64_t size) {
  auto memory = *GuestMemory::create(size, Pages::kSmall);
  EXPECT_TRUE(memory.allocate());
  return memory;
}

UniqueFd memfd(uint64_t size, int seals) {
  UniqueFd fd(::memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  EXPECT_EQ(::ftruncate(fd.get(), static_cast<off_t>(size)), 0);
  EXPECT_EQ(::fcntl(fd.get(), F_ADD_SEALS, seals), 0);
  return fd;
}

TEST(GuestMemory, sizes_outside_the_limits_are_refused) {
  for (uint64_t size : {uint64_t{0}, 62 * kMiB, 65 * kMiB, kMaxRam + 2 * kMiB}) {
    EXPECT_FALSE(GuestMemory::create(size, Pages::kSmall).has_value()) << size;
  }
}

TEST(GuestMemory, ram_above_3_gib_continues_at_4_gib) {
  auto memory = make(5 * kGiB);
  auto ranges = memory.ranges();
  ASSERT_EQ(ranges.size(), 2u);
  EXPECT_EQ(ranges[1].base.value, kHighRamBase);
  EXPECT_EQ(ranges[1].size, 2 * kGiB);
  EXPECT_EQ(ranges[1].offset, kLowRamLimit);
  EXPECT_TRUE(memory.write_value<uint64_t>({kHighRamBase + 2 * kGiB - 8}, 42));
  EXPECT_EQ(memory.read_value<uint64_t>({kHighRamBase + 2 * kGiB - 8}), 42u);
}

TEST(GuestMemory, accesses_that_leave_ram_fail_and_copy_nothing) {
  auto memory = make(5 * kGiB);
  for (uint64_t address : {kLowRamLimit - 4, kLowRamLimit, kHighRamBase - 1, kHighRamBase + 2 * kGiB - 4, ~uint64_t{0},
                           ~uint64_t{0} - 7}) {
    EXPECT_FALSE(memory.write_value<uint64_t>({address}, 1)) << std::hex << address;
    EXPECT_FALSE(memory.read_value<uint64_t>({address}).has_value()) << std::hex << address;
  }
  EXPECT_EQ(memory.slice({0}, 0), nullptr);
  EXPECT_EQ(memory.slice({kLowRamLimit - kMiB}, ~uint64_t{0}), nullptr);
}

TEST(GuestMemory, before_it_has_bytes_every_access_fails) {
  auto memory = *GuestMemory::create(64 * kMiB, Pages::kSmall);
  EXPECT_FALSE(memory.present());
  EXPECT_FALSE(memory.write_value<uint8_t>({0}, 1));
}

TEST(GuestMemory, another_process_s_memfd_shows_the_same_bytes) {
  auto ours = make(64 * kMiB);
  ASSERT_TRUE(ours.write_value<uint32_t>({0x1234}, 99));
  auto theirs = *GuestMemory::create(64 * kMiB, Pages::kSmall);
  ASSERT_TRUE(theirs.adopt(*duplicate(ours.fd())));
  EXPECT_EQ(theirs.read_value<uint32_t>({0x1234}), 99u);
}

TEST(GuestMemory, a_memfd_of_another_size_or_unsealed_or_no_memfd_is_refused) {
  auto fresh = [] { return *GuestMemory::create(64 * kMiB, Pages::kSmall); };
  EXPECT_FALSE(fresh().adopt(memfd(32 * kMiB, F_SEAL_SHRINK)));
  EXPECT_FALSE(fresh().adopt(memfd(64 * kMiB, F_SEAL_GROW))) << "it could shrink";
  EXPECT_FALSE(fresh().adopt(UniqueFd(::open("/dev/zero", O_RDWR | O_CLOEXEC))));
  EXPECT_TRUE(fresh().adopt(memfd(64 * kMiB, F_SEAL_SHRINK)));
}

TEST(GuestMemory, its_memfd_cannot_be_resized) {
  auto memory = make(64 * kMiB);
  EXPECT_NE(::ftruncate(memory.fd(), 0), 0);
  EXPECT_NE(::ftruncate(memory.fd(), 128 * kMiB), 0);
}

TEST(GuestMemory, populating_does_not_allocate_what_was_never_touched) {
  auto memory = make(5 * kGiB);
  ASSERT_TRUE(memory.write_value<uint8_t>({0}, 1));
  ASSERT_TRUE(memory.write_value<uint8_t>({512 * 1024}, 1));
  ASSERT_TRUE(memory.write_value<uint8_t>({100 * kMiB}, 1));
  ASSERT_TRUE(memory.write_value<uint8_t>({kLowRamLimit - 1}, 1));
  ASSERT_TRUE(memory.write_value<uint8_t>({kHighRamBase}, 1));
  auto used = *memory.used_ranges();
  ASSERT_EQ(used.size(), 4u);
  EXPECT_EQ(used[0].base.value, 0u);
  EXPECT_EQ(used[0].size, 512 * 1024u + 4096) << "a small hole counts as used";
  EXPECT_EQ(used[1].base.value, 100 * kMiB);
  EXPECT_EQ(used[2].base.value + used[2].size, kLowRamLimit);
  EXPECT_EQ(used[3].base.value, kHighRamBase) << "the two pieces of RAM are never one range";
  ASSERT_TRUE(memory.populate());
  struct stat info {};
  ASSERT_EQ(::fstat(memory.fd(), &info), 0);
  EXPECT_LT(static_cast<uint64_t>(info.st_blocks) * 512, 2 * kMiB);
}

TEST(GuestMemory, writes_are_in_the_dirty_log_while_it_is_on) {
  auto memory = make(5 * kGiB);
  PageBitmap dirty(5 * kGiB / kPageSize);
  memory.write_value<uint32_t>({0x1000}, 1);
  memory.take_dirty(dirty);
  EXPECT_EQ(dirty.count(), 0u) << "off";
  ASSERT_TRUE(memory.start_dirty_log());
  memory.write_value<uint32_t>({0x2ffe}, 1);
  memory.write_value<uint8_t>({kHighRamBase}, 1);
  EXPECT_FALSE(memory.write_value<uint8_t>({kLowRamLimit}, 1));
  memory.note_written(memory.slice({0x10'0000}, 0x3000), 0x3000);
  memory.take_dirty(dirty);
  EXPECT_EQ(dirty.next_run(0, 100), (PageRun{2, 2}));
  EXPECT_EQ(dirty.next_run(4, 100), (PageRun{0x100, 3}));
  EXPECT_EQ(dirty.next_run(0x103, 100), (PageRun{kLowRamLimit / kPageSize, 1})) << "by offset into the file";
  EXPECT_EQ(dirty.count(), 6u);
  memory.write_value<uint32_t>({0x1000}, 1);
  memory.stop_dirty_log();
  memory.write_value<uint32_t>({0x5000}, 1);
  PageBitmap later(5 * kGiB / kPageSize);
  ASSERT_TRUE(memory.start_dirty_log());
  memory.take_dirty(later);
  EXPECT_EQ(later.count(), 0u) << "a new log begins empty";
}

}  // namespace
}  // namespace pagurus::memory
