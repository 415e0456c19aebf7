#include "machine/boot/load_linux.h"

#include <algorithm>
#include <array>

#include "base/bytes.h"
#include "kvm/boot.h"
#include "machine/boot/memory_map.h"
#include "machine/boot/placement.h"
#include "machine/layout.h"

namespace pagurus::machine {
namespace {

// Offsets in the zero page (Linux, Documentation/arch/x86/zero-page.rst).
constexpr size_t kAcpiRsdp = 0x70;
constexpr size_t kE820Entries = 0x1e8;
constexpr size_t kSetupHeader = 0x1f1;
constexpr size_t kTypeOfLoader = 0x210;
constexpr size_t kRamdiskImage = 0x218;
constexpr size_t kRamdiskSize = 0x21c;
constexpr size_t kCommandLinePointer = 0x228;
constexpr size_t kE820Table = 0x2d0;
constexpr size_t kE820EntrySize = 20;
constexpr uint8_t kUndefinedLoader = 0xff;

using ZeroPage = std::array<uint8_t, 4096>;

void put_memory_map(ZeroPage& page, uint64_t ram_size) {
  size_t at = kE820Table;
  for (const MemoryRegion& region : memory_map(ram_size)) {
    store_le<uint64_t>(&page[at], region.base);
    store_le<uint64_t>(&page[at + 8], region.size);
    store_le<uint32_t>(&page[at + 16], static_cast<uint32_t>(region.kind));
    at += kE820EntrySize;
    ++page[kE820Entries];
  }
}

Result<void> put_initrd(ZeroPage& page, const BzImage& image, const memory::GuestMemory& memory,
                        const BootFile& initrd) {
  auto bytes = initrd.bytes();
  auto address = TRY_DOING(fmt::format("initrd '{}'", initrd.path()),
                           place_initrd(bytes.size(), {.ram_size = memory.size(),
                                                       .kernel_end = image.load_address + image.init_size,
                                                       .limit = image.initrd_addr_max + 1}));
  CHECK(memory.write(address, bytes), "place_initrd() found room in RAM");
  store_le<uint32_t>(&page[kRamdiskImage], static_cast<uint32_t>(address.value));
  store_le<uint32_t>(&page[kRamdiskSize], static_cast<uint32_t>(bytes.size()));
  return {};
}

}  // namespace

Result<BootState> load_linux(const BzImage& image, std::span<const uint8_t> file, const memory::GuestMemory& memory,
                             const BootInputs& inputs) {
  TRY(check_kernel_fits(image.load_address, image.init_size, memory.size()));
  TRY(write_command_line(memory, inputs.command_line, image.command_line_max));

  ZeroPage page{};
  std::ranges::copy(image.setup_header, page.begin() + kSetupHeader);
  page[kTypeOfLoader] = kUndefinedLoader;
  store_le<uint32_t>(&page[kRamdiskImage], 0);
  store_le<uint32_t>(&page[kRamdiskSize], 0);
  store_le<uint32_t>(&page[kCommandLinePointer], static_cast<uint32_t>(layout::kCommandLine.value));
  store_le<uint64_t>(&page[kAcpiRsdp], inputs.rsdp.value);
  put_memory_map(page, memory.size());
  if (inputs.initrd != nullptr) TRY(put_initrd(page, image, memory, *inputs.initrd));

  CHECK(memory.write({image.load_address}, file.subspan(image.kernel_offset, image.kernel_size)),
        "check_kernel_fits() said so, and init_size is at least kernel_size");
  CHECK(memory.write(layout::kZeroPage, page), "the smallest RAM holds the zero page");

  constexpr uint64_t kEntry64 = 0x200;
  BootState state{.kind = BootKind::kLinux64,
                  .entry = {image.load_address + kEntry64},
                  .info = layout::kZeroPage,
                  .page_tables = layout::kPageTables,
                  .gdt = layout::kGdt};
  TRY(kvm::write_linux64_tables(memory, {.entry = state.entry.value,
                                         .boot_params = state.info.value,
                                         .page_tables = state.page_tables,
                                         .gdt = state.gdt}));
  return state;
}

}  // namespace pagurus::machine
