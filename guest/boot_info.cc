// Reads hvm_start_info (Xen, public/arch-x86/hvm/start_info.h).

#include "guest/boot_info.h"

namespace pagurus::guest {
namespace {

struct StartInfo {
  uint32_t magic;
  uint32_t version;
  uint32_t flags;
  uint32_t module_count;
  uint64_t modules;
  uint64_t command_line;
  uint64_t rsdp;
  uint64_t memory_map;  // since version 1
  uint32_t memory_map_entries;
  uint32_t reserved;
};

struct MapEntry {
  uint64_t address;
  uint64_t size;
  uint32_t type;
  uint32_t reserved;
};

constexpr uint32_t kMagic = 0x336ec578;
constexpr uint32_t kTypeRam = 1;

constinit BootInfo the_boot_info;

}  // namespace

BootInfo& boot_info() { return the_boot_info; }

void BootInfo::read(uint64_t start_info) {
  const auto* info = reinterpret_cast<const StartInfo*>(start_info);
  if (info->magic != kMagic) return;
  valid_ = true;
  rsdp_ = info->rsdp;
  if (info->command_line != 0) {
    const auto* text = reinterpret_cast<const char*>(info->command_line);
    while (command_line_size_ < sizeof(command_line_) && text[command_line_size_] != '\0') {
      command_line_[command_line_size_] = text[command_line_size_];
      ++command_line_size_;
    }
  }
  if (info->version == 0 || info->memory_map == 0) return;
  const auto* map = reinterpret_cast<const MapEntry*>(info->memory_map);
  for (uint32_t i = 0; i < info->memory_map_entries && ram_count_ < kMaxRanges; ++i) {
    if (map[i].type == kTypeRam) ram_[ram_count_++] = {map[i].address, map[i].size};
  }
}

bool BootInfo::is_ram(MemoryRange range) const {
  if (ram_count_ == 0) return true;
  for (unsigned i = 0; i < ram_count_; ++i) {
    const uint64_t offset = range.base - ram_[i].base;
    if (range.base >= ram_[i].base && offset <= ram_[i].size && range.size <= ram_[i].size - offset) return true;
  }
  return false;
}

uint64_t BootInfo::ram_bytes() const {
  uint64_t sum = 0;
  for (unsigned i = 0; i < ram_count_; ++i) sum += ram_[i].size;
  return sum;
}

TextView BootInfo::word(TextView name) const {
  TextView found;
  TextView rest = command_line();
  for (TextView w = take_word(rest); w.size != 0; w = take_word(rest)) {
    if (!w.starts_with("probe.")) continue;
    const TextView key = w.from(6);
    if (key.size > name.size && key.starts_with(name) && key.data[name.size] == '=') found = key.from(name.size + 1);
  }
  return found;
}

uint64_t BootInfo::number(TextView name, uint64_t otherwise) const {
  const ParsedNumber parsed = parse_number(word(name));
  return parsed.ok ? parsed.value : otherwise;
}

}  // namespace pagurus::guest
