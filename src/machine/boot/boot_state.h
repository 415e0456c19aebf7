// What goes into booting a kernel, and what comes out of it.
#pragma once

#include <cstdint>
#include <string_view>

#include "machine/boot/boot_file.h"
#include "memory/address.h"

namespace pagurus::machine {

enum class BootKind {
  kLinux64,  // long mode, paging on; RSI = info
  kPvh,      // 32-bit protected mode, flat segments, paging off; EBX = info
};

// What the boot vCPU's registers have to be.
struct BootState {
  BootKind kind;
  memory::GuestAddress entry;        // RIP
  memory::GuestAddress info;         // the zero page or hvm_start_info
  memory::GuestAddress stack;        // RSP
  // kLinux64 only.  The GDT holds a 64-bit code segment at selector 0x10 and a data segment at 0x18.
  memory::GuestAddress page_tables;  // CR3
  memory::GuestAddress gdt;
  uint16_t gdt_limit = 0;
};

struct BootInputs {
  std::string_view command_line;
  const BootFile* initrd = nullptr;  // borrowed; null: none
  memory::GuestAddress rsdp;
};

}  // namespace pagurus::machine
