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
  memory::GuestAddress entry;  // RIP
  memory::GuestAddress info;   // the zero page or hvm_start_info
  // kLinux64 only, as kvm::write_linux64_tables() makes them.
  memory::GuestAddress page_tables;
  memory::GuestAddress gdt;
};

struct BootInputs {
  std::string_view command_line;
  const BootFile* initrd = nullptr;  // borrowed; null: none
  memory::GuestAddress rsdp;
};

}  // namespace pagurus::machine
