#include "machine/boot/bzimage.h"

#include <algorithm>

#include "base/bytes.h"

namespace pagurus::machine {
namespace {

// Offsets in the file, which are also offsets in the zero page (boot.rst, "The Real-Mode Kernel Header").
constexpr uint64_t kSetupSectors = 0x1f1;
constexpr uint64_t kBootFlag = 0x1fe;
constexpr uint64_t kHeaderJump = 0x201;  // its operand is the header's length from 0x202 on
constexpr uint64_t kMagic = 0x202;
constexpr uint64_t kVersion = 0x206;
constexpr uint64_t kLoadFlags = 0x211;
constexpr uint64_t kInitrdAddrMax = 0x22c;
constexpr uint64_t kXLoadFlags = 0x236;
constexpr uint64_t kCommandLineSize = 0x238;
constexpr uint64_t kPrefAddress = 0x258;
constexpr uint64_t kInitSize = 0x260;
constexpr uint64_t kMinimalHeaderEnd = 0x264;
// The zero page has room for the header up to here.
constexpr uint64_t kMaxHeaderEnd = 0x290;

constexpr uint32_t kHdrS = 0x53726448;
constexpr uint16_t kMinVersion = 0x20c;  // 2.12: xloadflags
constexpr uint8_t kLoadedHigh = 1;
constexpr uint16_t kXlfKernel64 = 1;
constexpr uint64_t kSector = 512;
// startup_64 is 0x200 bytes into the protected-mode kernel; a shorter one has no entry.
constexpr uint64_t kMinKernelSize = 0x400;

}  // namespace

bool looks_like_bzimage(std::span<const uint8_t> file) {
  return file.size() >= kMagic + 4 && load_le<uint32_t>(file.data() + kMagic) == kHdrS;
}

Result<BzImage> parse_bzimage(std::span<const uint8_t> file) {
  if (!looks_like_bzimage(file)) return fail("it is no bzImage: there is no 'HdrS' at {:#x}", kMagic);
  if (file.size() < kMinimalHeaderEnd) return fail("it ends inside the setup header");
  const uint8_t* header = file.data();
  if (load_le<uint16_t>(header + kBootFlag) != 0xaa55) return fail("its boot sector signature is wrong");
  auto version = load_le<uint16_t>(header + kVersion);
  if (version < kMinVersion) {
    return fail("its boot protocol is {}.{:02}, but at least 2.12 (Linux 3.8) is required", version >> 8,
                version & 0xff);
  }
  if ((header[kLoadFlags] & kLoadedHigh) == 0) return fail("it is a zImage, only bzImage is supported");
  if ((load_le<uint16_t>(header + kXLoadFlags) & kXlfKernel64) == 0) {
    return fail("it is not a 64-bit kernel, or was built without a 64-bit entry point");
  }

  // boot.rst: 0 means 4, for ancient kernels.
  uint64_t sectors = header[kSetupSectors] == 0 ? 4 : header[kSetupSectors];
  BzImage image;
  image.kernel_offset = (sectors + 1) * kSector;
  if (file.size() < image.kernel_offset || file.size() - image.kernel_offset < kMinKernelSize) {
    return fail("it is truncated: the kernel should begin at byte {}, the file has {}", image.kernel_offset,
                file.size());
  }
  image.kernel_size = file.size() - image.kernel_offset;
  image.load_address = load_le<uint64_t>(header + kPrefAddress);
  // The kernel decompresses in place, so it needs at least its own size.
  image.init_size = std::max<uint64_t>(load_le<uint32_t>(header + kInitSize), image.kernel_size);
  image.initrd_addr_max = load_le<uint32_t>(header + kInitrdAddrMax);
  image.command_line_max = load_le<uint32_t>(header + kCommandLineSize);

  uint64_t end = std::clamp<uint64_t>(kMagic + header[kHeaderJump], kMinimalHeaderEnd, kMaxHeaderEnd);
  end = std::min<uint64_t>(end, file.size());
  image.setup_header.assign(header + kSetupSectors, header + end);
  return image;
}

}  // namespace pagurus::machine
