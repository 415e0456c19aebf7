#include "machine/boot/memory_map.h"

#include <algorithm>

#include "machine/layout.h"

namespace pagurus::machine {

std::vector<MemoryRegion> memory_map(uint64_t ram_size) {
  using enum MemoryKind;
  uint64_t low_end = std::min(ram_size, memory::kLowRamLimit);
  std::vector<MemoryRegion> map{
      {0, layout::kEbda.base, kUsable},
      {layout::kEbda.base, layout::kEbda.size, kReserved},
      {layout::kBiosArea.base, layout::kBiosArea.size, kReserved},
      {layout::kKernelBase, low_end - layout::kKernelBase, kUsable},
      // Linux uses ECAM only if the memory map or the DSDT reserves it.
      {layout::kEcam.base, layout::kEcam.size, kReserved},
      {layout::kKvmPages.base, layout::kKvmPages.size, kReserved},
  };
  if (ram_size > low_end) map.push_back({memory::kHighRamBase, ram_size - low_end, kUsable});
  return map;
}

}  // namespace pagurus::machine
