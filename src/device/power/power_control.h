// Power-off, reset and the power button, as an ACPI hardware-reduced machine has them (ACPI 6.5,
// 4.8.3.7 and 4.8.3.8), and the keyboard controller's reset line, which Linux pulls when all else fails.
//
// Ports, from the base of ports():
//   +0  reset register: writing kResetValue resets
//   +1  sleep control: SLP_EN with SLP_TYP = kSleepTypeS5 powers off
//   +2  sleep status: WAK_STS, cleared by writing it
//
// Threads: any; the only state is one atomic byte.  The sink is called on the vCPU thread that wrote
// the register, possibly by several at once.
#pragma once

#include <atomic>
#include <cstdint>

#include "bus/interrupt.h"
#include "bus/io_bus.h"
#include "vmstate/section.h"

namespace pagurus::device {

// What happens to the machine as a whole.  Called on a vCPU thread, inside a register write: it may
// not wait for that vCPU.
class PowerSink {
 public:
  virtual ~PowerSink() = default;
  virtual void guest_power_off() = 0;
  virtual void guest_reset() = 0;
};

struct PowerState {
  uint8_t sleep_status = 0;
  static const vmstate::Description& description();
};

class PowerControl final : public vmstate::Section {
 public:
  static constexpr uint64_t kResetRegister = 0;
  static constexpr uint64_t kSleepControlRegister = 1;
  static constexpr uint64_t kSleepStatusRegister = 2;
  static constexpr uint8_t kResetValue = 1;
  static constexpr uint8_t kSleepTypeS5 = 5;

  // Both outlive this.  event_line: the GSI of the generic event device.
  PowerControl(PowerSink& sink, bus::EdgeLine& event_line);

  bus::IoHandler& ports() { return ports_; }
  // One port, 0x64.
  bus::IoHandler& keyboard_controller() { return keyboard_; }

  // Tells the guest that its power button was pressed.  A guest without ACPI does not notice.
  void press_power_button() { event_line_.pulse(); }
  // The machine was reset.
  void reset() { sleep_status_ = 0; }

  const vmstate::Description& description() const override { return PowerState::description(); }
  void save(vmstate::Writer& writer) const override;
  Result<void> load(vmstate::Reader& reader) override;

 private:
  class Ports final : public bus::IoHandler {
   public:
    explicit Ports(PowerControl& owner) : owner_(owner) {}
    uint64_t io_read(uint64_t offset, unsigned size) override;
    void io_write(uint64_t offset, unsigned size, uint64_t value) override;

   private:
    PowerControl& owner_;
  };
  class KeyboardController final : public bus::IoHandler {
   public:
    explicit KeyboardController(PowerSink& sink) : sink_(sink) {}
    uint64_t io_read(uint64_t offset, unsigned size) override;
    void io_write(uint64_t offset, unsigned size, uint64_t value) override;

   private:
    PowerSink& sink_;
  };

  PowerSink& sink_;
  bus::EdgeLine& event_line_;
  Ports ports_;
  KeyboardController keyboard_;
  std::atomic<uint8_t> sleep_status_{0};
};

}  // namespace pagurus::device
