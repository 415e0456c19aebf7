// The registers by which the guest learns of PCI devices that come and go, in the style of QEMU's
// acpi-pci-hotplug: the DSDT's methods read and write them, nobody else does.
//
// Registers of 32 bits, one bit for each slot, from the base of the ports:
//   +0  up: a device has come; reading it clears it
//   +4  down: a device is to go, until it has
//   +8  eject: writing a bit lets the device of that slot go; reads as 0
//
// A slot on its way out:  request_down() ──▶ down ──eject by the guest──▶ ejected ──take_ejected()──▶ empty
//
// The guest may eject what nobody asked it for.
//
// Threads: registers on vCPU threads, the rest on the control thread; lock_ guards all of it.  The sink is
// called on a vCPU thread, without the lock.
#pragma once

#include <cstdint>
#include <mutex>

#include "bus/interrupt.h"
#include "bus/io_bus.h"
#include "vmstate/section.h"

namespace pagurus::device {

// May not wait for the vCPU that calls it.
class EjectSink {
 public:
  virtual ~EjectSink() = default;
  // take_ejected() has something to tell, for the first time since it was called.
  virtual void guest_ejected() = 0;
};

// Bits by slot.
struct PciHotplugState {
  uint32_t up = 0;
  uint32_t down = 0;
  uint32_t ejected = 0;
  static const vmstate::Description& description();
};

class PciHotplug final : public bus::IoHandler, public vmstate::Section {
 public:
  static constexpr uint64_t kUpRegister = 0;
  static constexpr uint64_t kDownRegister = 4;
  static constexpr uint64_t kEjectRegister = 8;

  // Both outlive this.  event_line: an interrupt of the generic event device.
  PciHotplug(EjectSink& sink, bus::EdgeLine& event_line) : sink_(sink), event_line_(event_line) {}

  // Tells the guest that the device in `slot` has come, or that it is to let it go.
  void announce_up(unsigned slot);
  void request_down(unsigned slot);
  // Asked for, and not yet ejected.
  bool going_down(unsigned slot) const;
  bool any_ejected() const;
  // The slots that the guest has let go since, bit by bit.
  uint32_t take_ejected();
  // The machine was reset: nobody is told any more that a device has come, and what was asked to go, goes.
  void reset();

  uint64_t io_read(uint64_t offset, unsigned size) override;
  void io_write(uint64_t offset, unsigned size, uint64_t value) override;

  const vmstate::Description& description() const override { return PciHotplugState::description(); }
  void save(vmstate::Writer& writer) const override;
  Result<void> load(vmstate::Reader& reader) override;

 private:
  EjectSink& sink_;
  bus::EdgeLine& event_line_;
  mutable std::mutex lock_;
  PciHotplugState state_;  // guarded by lock_
};

}  // namespace pagurus::device
