// PciBus: bus 0 of the machine, its host bridge, and the two ways to its configuration spaces: the
// ports 0xCF8/0xCFC and the memory-mapped ECAM region.
//
// There is no firmware, so we assign the BARs at power-on: in the order of device and BAR number,
// bump-allocated and naturally aligned from one 32-bit window.  Two processes with the same devices
// in the same slots agree on every address.
//
// Every device has one function; the host bridge is 00.0.
//
// Life: add() every device, assign_bars(), then the guest may run.  A device that is added later has no
// addresses in its BARs: the guest gives it some, and assign_bars() again at the next reset.  Added functions
// outlive the bus, unless they are removed.
//
// Threads: configuration accesses from every vCPU thread; the rest on the control thread while the vCPUs
// are out of the guest, and so in no access to a register.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>

#include "bus/io_bus.h"
#include "pci/function.h"
#include "vmstate/section.h"

namespace pagurus::pci {

inline constexpr uint16_t kConfigPorts = 0xcf8;
inline constexpr unsigned kConfigPortCount = 8;
inline constexpr uint64_t kEcamBytes = 1 << 20;  // one bus
inline constexpr unsigned kSlots = 32;

struct PciBusState {
  uint32_t config_address = 0;
  static const vmstate::Description& description();
};

class PciBus final : public vmstate::Section {
 public:
  struct Window {
    uint32_t base;
    uint32_t size;
  };

  PciBus(bus::IoBus& mmio, Window window);

  // Puts a device into `slot` (1..31), or into the lowest free one.  Returns the slot.
  Result<unsigned> add(PciFunction& function, std::optional<unsigned> slot);
  // The slot of a function that was added.
  unsigned slot_of(const PciFunction& function) const;
  void remove(const PciFunction& function) { functions_[slot_of(function)] = nullptr; }
  // While no function decodes memory.  Fails if the window is too small.
  Result<void> assign_bars();

  // For the machine to map: kConfigPortCount ports at kConfigPorts, and kEcamBytes of memory.
  bus::IoHandler& config_ports() { return ports_; }
  bus::IoHandler& ecam() { return ecam_; }
  // Index: slot.  nullptr where there is no device.
  const std::array<PciFunction*, kSlots>& functions() const { return functions_; }
  PciFunction& host_bridge() { return host_bridge_; }

  // Resets the bus's own registers and the host bridge, not the devices: those reset themselves.
  void reset();

  // The bus's own section: the address port.
  const vmstate::Description& description() const override { return PciBusState::description(); }
  void save(vmstate::Writer& writer) const override;
  Result<void> load(vmstate::Reader& reader) override;

 private:
  class Ports final : public bus::IoHandler {
   public:
    explicit Ports(PciBus& bus) : bus_(bus) {}
    uint64_t io_read(uint64_t offset, unsigned size) override;
    void io_write(uint64_t offset, unsigned size, uint64_t value) override;

   private:
    PciBus& bus_;
  };
  class Ecam final : public bus::IoHandler {
   public:
    explicit Ecam(PciBus& bus) : bus_(bus) {}
    uint64_t io_read(uint64_t offset, unsigned size) override;
    void io_write(uint64_t offset, unsigned size, uint64_t value) override;

   private:
    PciBus& bus_;
  };

  PciFunction* find(unsigned bus_number, unsigned device_function) const;

  Window window_;
  PciFunction host_bridge_;
  std::array<PciFunction*, kSlots> functions_{};  // constant while vCPUs run
  std::atomic<uint32_t> config_address_{0};
  Ports ports_{*this};
  Ecam ecam_{*this};
};

}  // namespace pagurus::pci
