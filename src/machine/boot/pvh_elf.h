// An x86-64 ELF executable with Xen's PVH entry note: what of it goes where.  Pure: bytes in,
// checked numbers out.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"

namespace pagurus::machine {

struct PvhElf {
  struct Segment {
    uint64_t file_offset;
    uint64_t file_size;  // <= memory_size; the rest is zero
    uint64_t address;    // guest-physical
    uint64_t memory_size;
  };
  std::vector<Segment> segments;  // ascending, without overlap
  uint32_t entry = 0;             // inside a segment
  uint64_t end() const { return segments.back().address + segments.back().memory_size; }
};

bool looks_like_elf(std::span<const uint8_t> file);
Result<PvhElf> parse_pvh_elf(std::span<const uint8_t> file);

}  // namespace pagurus::machine
