// PciFunction: one function of a PCI device, composed (not inherited) by the device that it is.
//
// It keeps the configuration space, maps and unmaps the memory BARs on the MMIO bus as the guest
// programs them, and owns MSI-X.  There is no INTx: the interrupt pin is 0.
//
// After power-on or reset the BARs hold the addresses that PciBus::assign_bars() gave them, and
// memory decoding and bus mastering are off: an operating system keeps such addresses and turns the
// two bits on when it enables the device.
//
// State: one section, the configuration bytes and the MSI-X table.  Loading maps and unmaps only
// the BARs whose place differs, because every change may wait for the kernel (see bus::Doorbells).
//
// Threads: configuration accesses come from vCPU threads, reset and the section from the control
// thread.  Lock order: lock_, then the locks of IoBus, Doorbells and Msix.  A BarListener is called
// with lock_ held and must not call back; the handler of a window is called without it.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/log.h"
#include "bus/interrupt.h"
#include "bus/io_bus.h"
#include "memory/address.h"
#include "pci/config_space.h"
#include "pci/msix.h"
#include "vmstate/section.h"

namespace pagurus::pci {

// Hears where a BAR is mapped, for instance to attach doorbells there.
class BarListener {
 public:
  virtual ~BarListener() = default;
  virtual void bar_mapped(memory::GuestAddress base) = 0;
  virtual void bar_unmapped(memory::GuestAddress base) = 0;
};

struct PciFunctionState {
  ConfigSpace::Bytes config{};
  MsixState msix;
  static const vmstate::Description& description();
};

class PciFunction final : public vmstate::Section {
 public:
  static constexpr unsigned kBars = 6;

  // name: of the device, for messages and for the MMIO bus.  `mmio` outlives this.
  PciFunction(std::string name, const Identity& identity, bus::IoBus& mmio);
  ~PciFunction() override;
  PciFunction(const PciFunction&) = delete;
  PciFunction& operator=(const PciFunction&) = delete;

  // Building; before the function is added to a bus.
  // A 32-bit memory BAR; size: a power of two, at least 16.
  void add_bar(unsigned index, uint32_t size, bus::IoHandler& handler, BarListener* listener = nullptr);
  uint8_t add_capability(uint8_t id, std::span<const uint8_t> body, std::span<const uint8_t> writable = {});
  // MSI-X with its table and pending bits in a BAR of their own.
  Msix& add_msix(unsigned bar, uint16_t vectors, bus::MsiSink& sink);
  // Serves the configuration bytes [offset, offset + size) from `handler`; one window per function.
  void add_window(uint16_t offset, uint16_t size, bus::IoHandler& handler);

  const std::string& name() const { return name_; }
  // 0: there is no such BAR.
  uint32_t bar_size(unsigned index) const { return index < kBars ? bars_[index].size : 0; }
  // nullptr: there is no such BAR.
  bus::IoHandler* bar_handler(unsigned index) const { return index < kBars ? bars_[index].handler : nullptr; }
  // The address that a BAR has after power-on; PciBus calls it before the guest runs, and at a reset.
  void set_power_on_bar(unsigned index, uint32_t address);

  uint32_t config_read(uint16_t offset, unsigned size) const;
  void config_write(uint16_t offset, unsigned size, uint32_t value);
  // Back to the power-on state; BARs are unmapped.
  void reset();

  const vmstate::Description& description() const override;
  void save(vmstate::Writer& writer) const override;
  Result<void> load(vmstate::Reader& reader) override;

  uint64_t guest_faults() const { return faults_.count(); }

 private:
  struct Bar {
    uint32_t size = 0;
    bus::IoHandler* handler = nullptr;
    BarListener* listener = nullptr;
    uint32_t power_on = 0;
    std::optional<uint32_t> mapped;  // guarded by lock_
  };
  struct Window {
    uint16_t offset = 0;
    uint16_t size = 0;
    bus::IoHandler* handler = nullptr;
  };

  bool in_window(uint16_t offset, unsigned size) const;
  std::optional<uint32_t> wanted_address(unsigned index) const;
  void unmap(Bar& bar);
  void update_bars();
  void update_msix();

  std::string name_;
  bus::IoBus& mmio_;
  std::unique_ptr<Msix> msix_;
  uint8_t msix_capability_ = 0;
  Window window_;
  mutable GuestFaults faults_;
  mutable std::mutex lock_;
  ConfigSpace config_;           // guarded by lock_
  std::array<Bar, kBars> bars_;  // all but `mapped` constant once added to a bus
};

}  // namespace pagurus::pci
