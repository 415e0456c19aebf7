#include "kvm/boot.h"

#include <array>
#include <vector>

#include "base/bytes.h"

namespace pagurus::kvm {
namespace {

constexpr uint64_t kPage = 4096;
constexpr uint64_t kEntries = 512;
constexpr uint64_t kPresentWritable = 3;
constexpr uint64_t kLargePage = 1 << 7;
constexpr uint64_t kDirectories = 4;  // 1 GiB each

static_assert(kPageTableBytes == (2 + kDirectories) * kPage);

// boot.rst: __BOOT_CS is 0x10, execute and read; __BOOT_DS is 0x18, read and write; flat, 4 GiB.
constexpr std::array<uint64_t, kGdtBytes / 8> kGdt = {0, 0, 0x00af'9b00'0000'ffff, 0x00cf'9300'0000'ffff};

}  // namespace

Result<void> write_linux64_tables(const memory::GuestMemory& memory, const Linux64Boot& boot) {
  CHECK(boot.page_tables.value % kPage == 0, "the processor takes page-aligned page tables only");
  uint64_t root = boot.page_tables.value;
  uint64_t pointers = root + kPage;
  uint64_t directories = pointers + kPage;

  std::vector<uint64_t> tables(kPageTableBytes / sizeof(uint64_t));
  tables[0] = pointers | kPresentWritable;
  for (uint64_t i = 0; i < kDirectories; ++i) {
    tables[kEntries + i] = (directories + i * kPage) | kPresentWritable;
  }
  for (uint64_t i = 0; i < kDirectories * kEntries; ++i) {
    tables[2 * kEntries + i] = (i * 2 * memory::kMiB) | kPresentWritable | kLargePage;
  }
  bool fits = memory.write(boot.page_tables, {reinterpret_cast<const uint8_t*>(tables.data()), kPageTableBytes}) &&
              memory.write(boot.gdt, {reinterpret_cast<const uint8_t*>(kGdt.data()), kGdtBytes});
  if (!fits) {
    return fail("the boot page tables at {:#x} and the GDT at {:#x} do not lie in RAM", root, boot.gdt.value);
  }
  return {};
}

}  // namespace pagurus::kvm
