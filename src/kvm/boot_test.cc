#include "kvm/boot.h"

#include <gtest/gtest.h>

namespace pagurus::kvm {
namespace {

TEST(Linux64Tables, map_the_first_4_gib_one_to_one) {
  auto memory = memory::GuestMemory::create(memory::kMinRam, memory::Pages::kSmall);
  ASSERT_TRUE(memory && memory->allocate());
  Linux64Boot boot{.page_tables = {0x9000}, .gdt = {0x500}};
  ASSERT_TRUE(write_linux64_tables(*memory, boot));
  auto entry = [&](uint64_t table, uint64_t index) { return *memory->read_value<uint64_t>({table + 8 * index}); };
  auto next = [](uint64_t value) { return value & ~uint64_t{0xfff}; };
  for (uint64_t address : {uint64_t{0}, uint64_t{0x12345678}, uint64_t{0xfee00000}, memory::kGiB * 4 - 1}) {
    uint64_t pointers = next(entry(0x9000, address >> 39));
    uint64_t directory = next(entry(pointers, (address >> 30) & 511));
    uint64_t page = entry(directory, (address >> 21) & 511);
    EXPECT_EQ(page & 0xfff, 0x83u);
    EXPECT_EQ(next(page) + (address & 0x1fffff), address);
  }
  EXPECT_EQ(entry(0x9000, 1), 0u);
}

TEST(Linux64Tables, outside_ram_is_refused) {
  auto memory = memory::GuestMemory::create(memory::kMinRam, memory::Pages::kSmall);
  ASSERT_TRUE(memory && memory->allocate());
  EXPECT_FALSE(write_linux64_tables(*memory, {.page_tables = {memory::kMinRam - 4096}, .gdt = {0x500}}));
}

}  // namespace
}  // namespace pagurus::kvm
