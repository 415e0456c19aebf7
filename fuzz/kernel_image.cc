// A kernel file that is anything: parsed, and if it is accepted, loaded into a small RAM.
#include "machine/boot/kernel_image.h"

#include "base/bytes.h"
#include "fuzz/target.h"

namespace pagurus::fuzz {
namespace {

// The smallest bzImage that boot protocol 2.15 allows (Linux, Documentation/arch/x86/boot.rst).
Bytes small_bzimage() {
  Bytes file(8 * 512 + 4096);
  file[0x1f1] = 4;  // setup sectors
  store_le<uint16_t>(&file[0x1fe], 0xaa55);
  store_le<uint16_t>(&file[0x200], 0x66eb);
  store_le<uint32_t>(&file[0x202], 0x53726448);  // "HdrS"
  store_le<uint16_t>(&file[0x206], 0x020f);
  file[0x211] = 1;                               // loaded high
  store_le<uint32_t>(&file[0x22c], 0x7fffffff);  // initrd_addr_max
  store_le<uint32_t>(&file[0x230], 0x200000);    // kernel_alignment
  file[0x234] = 1;                               // relocatable
  store_le<uint16_t>(&file[0x236], 0x7f);        // xloadflags, 64-bit entry among them
  store_le<uint32_t>(&file[0x238], 2047);        // cmdline_size
  store_le<uint64_t>(&file[0x258], 0x1000000);   // pref_address
  store_le<uint32_t>(&file[0x260], 0x100000);    // init_size
  return file;
}

// An ELF with one segment and the PVH note.
Bytes small_elf() {
  Bytes file(0x1000);
  store_le<uint32_t>(&file[0], 0x464c457f);
  file[4] = 2;  // 64-bit
  file[5] = 1;  // little-endian
  file[6] = 1;
  store_le<uint16_t>(&file[0x10], 2);     // executable
  store_le<uint16_t>(&file[0x12], 0x3e);  // x86-64
  store_le<uint32_t>(&file[0x14], 1);
  store_le<uint64_t>(&file[0x18], 0x200000);
  store_le<uint64_t>(&file[0x20], 0x40);  // program headers
  store_le<uint16_t>(&file[0x34], 0x40);
  store_le<uint16_t>(&file[0x36], 0x38);
  store_le<uint16_t>(&file[0x38], 2);
  auto segment = [&file](size_t at, uint32_t type, uint64_t offset, uint64_t address, uint64_t size) {
    store_le<uint32_t>(&file[at], type);
    store_le<uint32_t>(&file[at + 4], 7);
    store_le<uint64_t>(&file[at + 8], offset);
    store_le<uint64_t>(&file[at + 0x10], address);
    store_le<uint64_t>(&file[at + 0x18], address);
    store_le<uint64_t>(&file[at + 0x20], size);
    store_le<uint64_t>(&file[at + 0x28], size);
    store_le<uint64_t>(&file[at + 0x30], 4);
  };
  segment(0x40, 1, 0x200, 0x200000, 0x800);
  segment(0x78, 4, 0x100, 0x100, 20);
  store_le<uint32_t>(&file[0x100], 4);   // name size
  store_le<uint32_t>(&file[0x104], 4);   // description size
  store_le<uint32_t>(&file[0x108], 18);  // XEN_ELFNOTE_PHYS32_ENTRY
  store_le<uint32_t>(&file[0x10c], 0x006e6558);
  store_le<uint32_t>(&file[0x110], 0x200000);
  return file;
}

}  // namespace

std::vector<Bytes> seeds() { return {small_bzimage(), small_elf()}; }

}  // namespace pagurus::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pagurus;
  static const memory::GuestMemory ram = [] {
    auto made = *memory::GuestMemory::create(memory::kMinRam, memory::Pages::kSmall);
    CHECK(made.allocate().has_value(), "64 MiB of RAM");
    return made;
  }();
  auto kernel = machine::KernelImage::parse(machine::BootFile::of_bytes("fuzz", {data, data + size}));
  if (kernel) (void)kernel->load(ram, {.command_line = "console=ttyS0", .initrd = nullptr, .rsdp = {0xe0000}});
  return 0;
}
