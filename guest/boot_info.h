// What the loader told: command line, memory map, address of the ACPI tables.
#pragma once

#include <cstdint>

#include "guest/text.h"

namespace pagurus::guest {

struct MemoryRange {
  uint64_t base;
  uint64_t size;
};

// A copy of everything of interest in hvm_start_info, made before anything else is written, so that the loader may
// have put its tables anywhere.
class BootInfo {
 public:
  void read(uint64_t start_info);

  bool valid() const { return valid_; }
  TextView command_line() const { return {command_line_, command_line_size_}; }
  uint64_t rsdp() const { return rsdp_; }

  // True if the loader's map says that the whole range is RAM.  Without a map everything is believed.
  bool is_ram(MemoryRange range) const;
  uint64_t ram_bytes() const;

  // The text behind "probe.<name>=" on the command line; the last one wins; empty if absent.
  TextView word(TextView name) const;
  // The same as a number; `otherwise` if absent or malformed.
  uint64_t number(TextView name, uint64_t otherwise) const;

 private:
  static constexpr unsigned kMaxRanges = 32;
  char command_line_[1024] = {};
  unsigned command_line_size_ = 0;
  MemoryRange ram_[kMaxRanges] = {};
  unsigned ram_count_ = 0;
  uint64_t rsdp_ = 0;
  bool valid_ = false;
};

BootInfo& boot_info();

}  // namespace pagurus::guest
