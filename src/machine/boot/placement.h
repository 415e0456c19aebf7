// Where the initrd and the command line go, for both kinds of kernel.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"
#include "memory/guest_memory.h"

namespace pagurus::machine {

struct InitrdSpace {
  uint64_t ram_size;    // bytes, of the whole machine
  uint64_t kernel_end;  // first address above the kernel's working space
  uint64_t limit;       // first address an initrd may not reach
};

// The highest page-aligned place in low RAM.  Fails with the sizes and the remedy.
Result<memory::GuestAddress> place_initrd(uint64_t size, const InitrdSpace& space);

// Fails if [address, address+size) is not low RAM: says how much RAM the kernel needs.
Result<void> check_kernel_fits(uint64_t address, uint64_t size, uint64_t ram_size);

// Writes the command line with its NUL.  max: bytes without the NUL.
Result<void> write_command_line(const memory::GuestMemory& memory, std::string_view text, uint64_t max);

}  // namespace pagurus::machine
