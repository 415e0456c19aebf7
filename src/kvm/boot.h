// The processor state in which a kernel expects to be entered, and the tables it needs in RAM.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "memory/guest_memory.h"

namespace pagurus::kvm {

// The 64-bit entry of a bzImage (Linux Documentation/arch/x86/boot.rst, "64-bit boot protocol"):
// long mode, the first 4 GiB mapped one to one, flat segments 0x10 and 0x18, interrupts off.
struct Linux64Boot {
  uint64_t entry = 0;                // RIP: 0x200 into the loaded 64-bit kernel
  uint64_t boot_params = 0;          // RSI: the zero page
  memory::GuestAddress page_tables;  // kPageTableBytes, page-aligned
  memory::GuestAddress gdt;          // kGdtBytes
};
inline constexpr uint64_t kPageTableBytes = 6 * 4096;
inline constexpr uint64_t kGdtBytes = 4 * 8;

// Writes the page tables and the GDT that Linux64Boot names.  They must lie in RAM that the kernel
// does not use before it has built its own.
Result<void> write_linux64_tables(const memory::GuestMemory& memory, const Linux64Boot& boot);

// The PVH entry (Xen's docs/misc/pvh.pandoc): 32-bit protected mode without paging, flat segments.
struct PvhBoot {
  uint32_t entry = 0;       // EIP: from the ELF note XEN_ELFNOTE_PHYS32_ENTRY
  uint32_t start_info = 0;  // EBX: the hvm_start_info structure
};

}  // namespace pagurus::kvm
