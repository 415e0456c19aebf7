// The memory map a guest is told (E820 for bzImage, the PVH memory map for ELF: the same types).
#pragma once

#include <cstdint>
#include <vector>

namespace pagurus::machine {

enum class MemoryKind : uint32_t { kUsable = 1, kReserved = 2 };

struct MemoryRegion {
  uint64_t base;
  uint64_t size;
  MemoryKind kind;
  bool operator==(const MemoryRegion&) const = default;
};

// Ascending and without overlap.  ram_size: bytes, as GuestMemory::create takes it.
std::vector<MemoryRegion> memory_map(uint64_t ram_size);

}  // namespace pagurus::machine
