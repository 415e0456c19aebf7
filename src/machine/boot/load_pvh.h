// Places a PVH ELF, its start info (version 1), initrd and command line in RAM (Xen,
// docs/misc/pvh.pandoc and public/arch-x86/hvm/start_info.h).
#pragma once

#include <span>

#include "base/result.h"
#include "machine/boot/boot_state.h"
#include "machine/boot/pvh_elf.h"
#include "memory/guest_memory.h"

namespace pagurus::machine {

// file: the bytes `elf` was parsed from.
Result<BootState> load_pvh(const PvhElf& elf, std::span<const uint8_t> file, const memory::GuestMemory& memory,
                           const BootInputs& inputs);

}  // namespace pagurus::machine
