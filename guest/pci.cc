// PCI Local Bus 3.0, chapter 6; PCI Express base specification, 7.2.2 (ECAM).

#include "guest/pci.h"

#include "guest/cpu.h"
#include "guest/paging.h"

namespace pagurus::guest {
namespace {

constexpr uint16_t kAddressPort = 0xcf8;
constexpr uint16_t kDataPort = 0xcfc;
constexpr uint32_t kEnable = 0x80000000;

constexpr uint16_t kCommand = 0x04;
constexpr uint16_t kStatus = 0x06;
constexpr uint16_t kBar0 = 0x10;
constexpr uint16_t kCapabilities = 0x34;
constexpr uint8_t kMsixCapability = 0x11;

uint64_t ecam = 0;           // 0: use the ports
uint64_t next_free_bar = 0;  // the window for BARs nobody assigned

void select(const PciFunction& f, uint16_t offset) {
  const uint32_t address =
      uint32_t{f.bus} << 16 | uint32_t{f.slot} << 11 | uint32_t{f.function} << 8 | (offset & 0xfcu);
  out32(kAddressPort, kEnable | address);
}

uint64_t ecam_address(const PciFunction& f, uint16_t offset) {
  return ecam + (uint64_t{f.bus} << 20 | uint64_t{f.slot} << 15 | uint64_t{f.function} << 12 | offset);
}

uint64_t assign_bar(uint64_t size) {
  next_free_bar = (next_free_bar + size - 1) & ~(size - 1);
  const uint64_t address = next_free_bar;
  next_free_bar += size;
  return address;
}

bool matches(const PciFunction& f, uint16_t vendor, uint16_t device, uint16_t other_device) {
  const uint32_t id = f.read32(0);
  const auto found = static_cast<uint16_t>(id >> 16);
  return (id & 0xffff) == vendor && (found == device || found == other_device);
}

// Calls visit(function) for every function behind `bus`; stops when it returns true.
template <typename Visit>
bool for_each_function(uint8_t bus, Visit& visit, unsigned depth) {
  for (uint8_t slot = 0; slot < 32; ++slot) {
    for (uint8_t function = 0; function < 8; ++function) {
      const PciFunction f{bus, slot, function};
      if ((f.read32(0) & 0xffff) == 0xffff) {
        if (function == 0) break;
        continue;
      }
      if (visit(f)) return true;
      const uint8_t header = f.read8(0x0e);
      if ((header & 0x7f) == 1 && depth < 4) {
        const uint8_t secondary = f.read8(0x19);
        if (secondary > bus && for_each_function(secondary, visit, depth + 1)) return true;
      }
      if (function == 0 && (header & 0x80) == 0) break;
    }
  }
  return false;
}

}  // namespace

uint32_t PciFunction::read32(uint16_t offset) const {
  if (ecam != 0) return read_mmio<uint32_t>(ecam_address(*this, offset & 0xffcu));
  select(*this, offset);
  return in32(kDataPort);
}

uint16_t PciFunction::read16(uint16_t offset) const {
  return static_cast<uint16_t>(read32(offset) >> (offset & 2) * 8);
}

uint8_t PciFunction::read8(uint16_t offset) const { return static_cast<uint8_t>(read32(offset) >> (offset & 3) * 8); }

void PciFunction::write32(uint16_t offset, uint32_t value) const {
  if (ecam != 0) return write_mmio<uint32_t>(ecam_address(*this, offset), value);
  select(*this, offset);
  out32(kDataPort, value);
}

void PciFunction::write16(uint16_t offset, uint16_t value) const {
  if (ecam != 0) return write_mmio<uint16_t>(ecam_address(*this, offset), value);
  select(*this, offset);
  out16(static_cast<uint16_t>(kDataPort + (offset & 2)), value);
}

uint8_t PciFunction::find_capability(uint8_t id, uint8_t after) const {
  if ((read16(kStatus) & 0x10) == 0) return 0;
  uint8_t at = after == 0 ? read8(kCapabilities) : read8(static_cast<uint16_t>(after + 1));
  // A broken device could link its list in a circle; there is room for 48 capabilities.
  for (unsigned i = 0; i < 48 && at >= 0x40; ++i) {
    at &= 0xfc;
    if (read8(at) == id) return at;
    at = read8(static_cast<uint16_t>(at + 1));
  }
  return 0;
}

MemoryRange PciFunction::memory_bar(unsigned index) const {
  const auto offset = static_cast<uint16_t>(kBar0 + index * 4);
  const uint16_t command = read16(kCommand);
  write16(kCommand, static_cast<uint16_t>(command & ~3));  // no decoding while the size is probed
  const uint32_t low = read32(offset);
  const bool wide = (low & 6) == 4;
  const auto high_offset = static_cast<uint16_t>(offset + 4);
  const uint32_t high = wide ? read32(high_offset) : 0;
  write32(offset, 0xffffffff);
  uint64_t mask = 0xffffffff00000000 | read32(offset);
  write32(offset, low);
  if (wide) {
    write32(high_offset, 0xffffffff);
    mask = (mask & 0xffffffff) | uint64_t{read32(high_offset)} << 32;
    write32(high_offset, high);
  }
  mask &= ~uint64_t{15};
  MemoryRange range{(uint64_t{high} << 32 | low) & ~uint64_t{15},
                    (low & 1) != 0 || (mask & 0xffffffff) == 0 ? 0 : ~mask + 1};
  if (range.size != 0 && range.base == 0) {
    range.base = assign_bar(range.size);
    write32(offset, static_cast<uint32_t>(range.base));
    if (wide) write32(high_offset, static_cast<uint32_t>(range.base >> 32));
  }
  write16(kCommand, command);
  if (range.size != 0 && !map_device(range)) return {};
  return range;
}

void PciFunction::enable() const {
  constexpr uint16_t kMemory = 2;
  constexpr uint16_t kBusMaster = 4;
  constexpr uint16_t kNoIntx = 1u << 10;
  write16(kCommand, static_cast<uint16_t>(read16(kCommand) | kMemory | kBusMaster | kNoIntx));
}

void init_pci(uint64_t ecam_base) {
  next_free_bar = boot_info().number("mmio", 0xc0000000);
  out32(kAddressPort, kEnable);
  if (in32(kAddressPort) == kEnable || ecam_base == 0) return;
  // Bus 0 only is enough behind ECAM: 32 slots of 8 functions.
  map_device({ecam_base, 1u << 20});
  ecam = ecam_base;
}

PciSearch find_pci_function(uint16_t vendor, uint16_t device, uint16_t other_device, unsigned n) {
  PciSearch result;
  auto visit = [&](const PciFunction& f) {
    if (!matches(f, vendor, device, other_device) || n-- != 0) return false;
    result = {true, f};
    return true;
  };
  for_each_function(0, visit, 0);
  return result;
}

bool MsixTable::open(const PciFunction& function) {
  function_ = function;
  capability_ = function.find_capability(kMsixCapability);
  if (capability_ == 0) return false;
  size_ = (function.read16(static_cast<uint16_t>(capability_ + 2)) & 0x7ffu) + 1;
  const uint32_t location = function.read32(static_cast<uint16_t>(capability_ + 4));
  const MemoryRange bar = function.memory_bar(location & 7);
  if (bar.size == 0) return false;
  table_ = bar.base + (location & ~7u);
  return true;
}

void MsixTable::set(unsigned entry, uint8_t apic_id, uint8_t vector) const {
  const uint64_t at = table_ + entry * 16;
  write_mmio<uint32_t>(at, 0xfee00000u | uint32_t{apic_id} << 12);
  write_mmio<uint32_t>(at + 4, 0);
  write_mmio<uint32_t>(at + 8, vector);
  write_mmio<uint32_t>(at + 12, 0);
}

void MsixTable::enable() const {
  const auto control = static_cast<uint16_t>(capability_ + 2);
  function_.write16(control, static_cast<uint16_t>((function_.read16(control) & ~0x4000) | 0x8000));
}

}  // namespace pagurus::guest
