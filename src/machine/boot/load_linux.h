// Places a bzImage, its zero page, initrd and command line in RAM (boot.rst, "64-bit Boot Protocol").
#pragma once

#include <span>

#include "base/result.h"
#include "machine/boot/boot_state.h"
#include "machine/boot/bzimage.h"
#include "memory/guest_memory.h"

namespace pagurus::machine {

// file: the bytes `image` was parsed from.
Result<BootState> load_linux(const BzImage& image, std::span<const uint8_t> file, const memory::GuestMemory& memory,
                             const BootInputs& inputs);

}  // namespace pagurus::machine
