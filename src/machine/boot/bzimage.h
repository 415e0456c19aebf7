// Linux's bzImage: the setup header (Documentation/arch/x86/boot.rst) and where the 64-bit kernel is
// in the file.  Pure: bytes in, checked numbers out.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace pagurus::machine {

struct BzImage {
  std::vector<uint8_t> setup_header;  // from file offset 0x1f1, as it goes to the zero page
  uint64_t kernel_offset = 0;         // of the protected-mode kernel, in the file
  uint64_t kernel_size = 0;
  uint64_t load_address = 0;      // pref_address
  uint64_t init_size = 0;         // RAM the kernel needs from load_address on
  uint64_t initrd_addr_max = 0;   // last address an initrd may occupy
  uint64_t command_line_max = 0;  // bytes, without the final NUL
};

// True if the file calls itself a bzImage ("HdrS"), sound or not.
bool looks_like_bzimage(std::span<const uint8_t> file);
Result<BzImage> parse_bzimage(std::span<const uint8_t> file);

}  // namespace pagurus::machine
