#include "pci/bus.h"

#include <algorithm>

namespace pagurus::pci {
namespace {

// QEMU's generic PCI Express host bridge: known to operating systems, and without any quirk in them.
constexpr Identity kHostBridge{
    .vendor = 0x1b36, .device = 0x0008, .subsystem_vendor = 0x1af4, .subsystem = 0x1100, .class_code = 0x060000};
constexpr uint32_t kAddressEnable = 1u << 31;

}  // namespace

const vmstate::Description& PciBusState::description() {
  static constexpr auto kFields = std::array{
      vmstate::field<&PciBusState::config_address>("config-address"),
  };
  static constexpr vmstate::Description kDescription{"pci-bus", 1, kFields};
  return kDescription;
}

PciBus::PciBus(bus::IoBus& mmio, Window window) : window_(window), host_bridge_("PCI host bridge", kHostBridge, mmio) {
  functions_[0] = &host_bridge_;
}

Result<unsigned> PciBus::add(PciFunction& function, std::optional<unsigned> slot) {
  if (!slot) {
    auto free = std::ranges::find(functions_, nullptr);
    if (free == functions_.end()) return fail("no PCI slot is free for '{}'", function.name());
    slot = static_cast<unsigned>(free - functions_.begin());
  }
  if (*slot >= kSlots) return fail("PCI slot {} of '{}' is not one of 1 to {}", *slot, function.name(), kSlots - 1);
  if (functions_[*slot] != nullptr) {
    return fail("PCI slot {} of '{}' is taken by '{}'", *slot, function.name(), functions_[*slot]->name());
  }
  functions_[*slot] = &function;
  return *slot;
}

unsigned PciBus::slot_of(const PciFunction& function) const {
  auto found = std::ranges::find(functions_, &function);
  CHECK(found != functions_.end(), "the function was added to this bus");
  return static_cast<unsigned>(found - functions_.begin());
}

Result<void> PciBus::assign_bars() {
  uint64_t next = window_.base;
  uint64_t end = uint64_t{window_.base} + window_.size;
  for (PciFunction* function : functions_) {
    for (unsigned i = 0; function != nullptr && i < PciFunction::kBars; ++i) {
      uint64_t size = function->bar_size(i);
      if (size == 0) continue;
      next = (next + size - 1) & ~(size - 1);
      if (next + size > end) return fail("the PCI memory window is too small for BAR {} of '{}'", i, function->name());
      function->set_power_on_bar(i, static_cast<uint32_t>(next));
      next += size;
    }
  }
  return {};
}

PciFunction* PciBus::find(unsigned bus_number, unsigned device_function) const {
  // Every device has function 0 only.
  if (bus_number != 0 || device_function % 8 != 0) return nullptr;
  return functions_[device_function / 8];
}

void PciBus::reset() {
  config_address_ = 0;
  host_bridge_.reset();
}

void PciBus::save(vmstate::Writer& writer) const {
  vmstate::write_state(writer, PciBusState{.config_address = config_address_});
}

Result<void> PciBus::load(vmstate::Reader& reader) {
  auto state = TRY_DOING("PCI bus", vmstate::read_state<PciBusState>(reader));
  config_address_ = state.config_address;
  return {};
}

// The address register answers to 4-byte accesses only; other sizes there belong to other registers
// of a PC chip set (0xCF9), which we do not have.
uint64_t PciBus::Ports::io_read(uint64_t offset, unsigned size) {
  uint32_t address = bus_.config_address_;
  if (offset < 4) return offset == 0 && size == 4 ? address : ~uint64_t{0};
  if ((address & kAddressEnable) == 0 || size > 4) return ~uint64_t{0};
  PciFunction* function = bus_.find((address >> 16) & 0xff, (address >> 8) & 0xff);
  if (function == nullptr) return ~uint64_t{0};
  return function->config_read(static_cast<uint16_t>((address & 0xfc) + (offset - 4)), size);
}

void PciBus::Ports::io_write(uint64_t offset, unsigned size, uint64_t value) {
  if (offset < 4) {
    if (offset == 0 && size == 4) bus_.config_address_ = static_cast<uint32_t>(value);
    return;
  }
  uint32_t address = bus_.config_address_;
  if ((address & kAddressEnable) == 0 || size > 4) return;
  PciFunction* function = bus_.find((address >> 16) & 0xff, (address >> 8) & 0xff);
  if (function == nullptr) return;
  function->config_write(static_cast<uint16_t>((address & 0xfc) + (offset - 4)), size, static_cast<uint32_t>(value));
}

uint64_t PciBus::Ecam::io_read(uint64_t offset, unsigned size) {
  PciFunction* function = bus_.find(static_cast<unsigned>(offset >> 20), (offset >> 12) & 0xff);
  if (function == nullptr || size > 4) return ~uint64_t{0};
  return function->config_read(offset & 0xfff, size);
}

void PciBus::Ecam::io_write(uint64_t offset, unsigned size, uint64_t value) {
  PciFunction* function = bus_.find(static_cast<unsigned>(offset >> 20), (offset >> 12) & 0xff);
  if (function == nullptr || size > 4) return;
  function->config_write(offset & 0xfff, size, static_cast<uint32_t>(value));
}

}  // namespace pagurus::pci
