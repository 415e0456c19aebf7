#include "machine/boot/long_mode.h"

#include <array>

#include "machine/layout.h"

namespace pagurus::machine {
namespace {

constexpr uint64_t kPresent = 1;
constexpr uint64_t kWritable = 2;
constexpr uint64_t kLargePage = 0x80;
constexpr uint64_t kTableBytes = 4096;
constexpr uint64_t kEntries = 512;
constexpr uint64_t kDirectories = 4;

using Table = std::array<uint64_t, kEntries>;

}  // namespace

void write_page_tables(const memory::GuestMemory& memory) {
  uint64_t pml4 = layout::kPageTables.value;
  uint64_t pdpt = pml4 + kTableBytes;
  uint64_t directories = pdpt + kTableBytes;

  Table top{pdpt | kPresent | kWritable};
  Table pointers{};
  bool written = memory.write_value({pml4}, top);
  for (uint64_t d = 0; d < kDirectories; ++d) {
    uint64_t at = directories + d * kTableBytes;
    pointers[d] = at | kPresent | kWritable;
    Table pages{};
    for (uint64_t i = 0; i < kEntries; ++i) {
      pages[i] = (d * kEntries + i) * 2 * memory::kMiB | kPresent | kWritable | kLargePage;
    }
    written = written && memory.write_value({at}, pages);
  }
  written = written && memory.write_value({pdpt}, pointers);
  CHECK(written, "the smallest RAM holds the boot page tables");
}

uint16_t write_gdt(const memory::GuestMemory& memory) {
  constexpr std::array<uint64_t, 4> kGdt{
      0,
      0,
      0x00af'9b00'0000'ffff,  // 64-bit code, present, accessed
      0x00cf'9300'0000'ffff,  // data, 4 GiB, writable, accessed
  };
  CHECK(memory.write_value(layout::kGdt, kGdt), "the smallest RAM holds the boot GDT");
  return sizeof kGdt - 1;
}

}  // namespace pagurus::machine
