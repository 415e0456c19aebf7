#include "machine/boot/load_pvh.h"

#include <cstring>

#include "machine/boot/memory_map.h"
#include "machine/boot/placement.h"
#include "machine/layout.h"

namespace pagurus::machine {
namespace {

struct StartInfo {
  uint32_t magic = 0x336ec578;
  uint32_t version = 1;
  uint32_t flags = 0;
  uint32_t module_count = 0;
  uint64_t modules = 0;
  uint64_t command_line = 0;
  uint64_t rsdp = 0;
  uint64_t memory_map = 0;
  uint32_t memory_map_entries = 0;
  uint32_t reserved = 0;
};
static_assert(sizeof(StartInfo) == 56);
static_assert(layout::kPvhStartInfo.value + sizeof(StartInfo) <= layout::kPvhModules.value);

struct Module {
  uint64_t address;
  uint64_t size;
  uint64_t command_line = 0;
  uint64_t reserved = 0;
};
static_assert(sizeof(Module) == 32);

struct MapEntry {
  uint64_t base;
  uint64_t size;
  uint32_t type;
  uint32_t reserved = 0;
};
static_assert(sizeof(MapEntry) == 24);

// The specification sets no limit; this is far above what any kernel reads.
constexpr uint64_t kCommandLineMax = layout::kCommandLineSize - 1;

void write_segment(const PvhElf::Segment& segment, std::span<const uint8_t> file, const memory::GuestMemory& memory) {
  uint8_t* target = memory.slice({segment.address}, segment.memory_size);
  CHECK(target != nullptr, "check_kernel_fits() covers every segment");
  std::memcpy(target, file.data() + segment.file_offset, segment.file_size);
  std::memset(target + segment.file_size, 0, segment.memory_size - segment.file_size);
  memory.note_written(target, segment.memory_size);
}

Result<void> put_initrd(StartInfo& info, const PvhElf& elf, const memory::GuestMemory& memory, const BootFile& initrd) {
  auto bytes = initrd.bytes();
  auto address = TRY_DOING(
      fmt::format("initrd '{}'", initrd.path()),
      place_initrd(bytes.size(), {.ram_size = memory.size(), .kernel_end = elf.end(), .limit = memory::kLowRamLimit}));
  Module module{.address = address.value, .size = bytes.size()};
  CHECK(memory.write(address, bytes) && memory.write_value(layout::kPvhModules, module),
        "place_initrd() found room in RAM");
  info.module_count = 1;
  info.modules = layout::kPvhModules.value;
  return {};
}

void put_memory_map(StartInfo& info, const memory::GuestMemory& memory) {
  auto at = layout::kPvhMemoryMap;
  for (const MemoryRegion& region : memory_map(memory.size())) {
    MapEntry entry{.base = region.base, .size = region.size, .type = static_cast<uint32_t>(region.kind)};
    CHECK(memory.write_value(at, entry), "the smallest RAM holds the memory map");
    at = at + sizeof entry;
    ++info.memory_map_entries;
  }
  info.memory_map = layout::kPvhMemoryMap.value;
}

}  // namespace

Result<BootState> load_pvh(const PvhElf& elf, std::span<const uint8_t> file, const memory::GuestMemory& memory,
                           const BootInputs& inputs) {
  uint64_t base = elf.segments.front().address;
  TRY(check_kernel_fits(base, elf.end() - base, memory.size()));
  TRY(write_command_line(memory, inputs.command_line, kCommandLineMax));

  StartInfo info{.command_line = layout::kCommandLine.value, .rsdp = inputs.rsdp.value};
  if (inputs.initrd != nullptr) TRY(put_initrd(info, elf, memory, *inputs.initrd));
  put_memory_map(info, memory);
  for (const auto& segment : elf.segments) write_segment(segment, file, memory);
  CHECK(memory.write_value(layout::kPvhStartInfo, info), "the smallest RAM holds the start info");

  return BootState{.kind = BootKind::kPvh, .entry = {elf.entry}, .info = layout::kPvhStartInfo};
}

}  // namespace pagurus::machine
