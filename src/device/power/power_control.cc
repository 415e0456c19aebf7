#include "device/power/power_control.h"

namespace pagurus::device {
namespace {

// ACPI 6.5, tables 4.19 and 4.20.
constexpr unsigned kSleepTypeShift = 2;
constexpr uint8_t kSleepTypeMask = 7;
constexpr uint8_t kSleepEnable = 1u << 5;
constexpr uint8_t kWakeStatus = 1u << 7;

constexpr uint64_t kNothing = ~uint64_t{0};

}  // namespace

const vmstate::Description& PowerState::description() {
  static constexpr auto kFields = std::array{
      vmstate::field<&PowerState::sleep_status>("sleep-status"),
  };
  static constexpr vmstate::Description kDescription{"power", 1, kFields};
  return kDescription;
}

PowerControl::PowerControl(PowerSink& sink, bus::EdgeLine& event_line)
    : sink_(sink), event_line_(event_line), ports_(*this), keyboard_(sink) {}

void PowerControl::save(vmstate::Writer& writer) const {
  vmstate::write_state(writer, PowerState{.sleep_status = sleep_status_});
}

Result<void> PowerControl::load(vmstate::Reader& reader) {
  sleep_status_ = TRY(vmstate::read_state<PowerState>(reader)).sleep_status;
  return {};
}

uint64_t PowerControl::Ports::io_read(uint64_t offset, unsigned) {
  switch (offset) {
    case kResetRegister:
    case kSleepControlRegister: return 0;
    case kSleepStatusRegister: return owner_.sleep_status_;
    default: return kNothing;
  }
}

void PowerControl::Ports::io_write(uint64_t offset, unsigned, uint64_t value) {
  auto byte = static_cast<uint8_t>(value);
  if (offset == kResetRegister && byte == kResetValue) owner_.sink_.guest_reset();
  if (offset == kSleepStatusRegister && (byte & kWakeStatus) != 0)
    owner_.sleep_status_ &= static_cast<uint8_t>(~kWakeStatus);
  if (offset == kSleepControlRegister && (byte & kSleepEnable) != 0) {
    // S5 is the only sleeping state that the DSDT offers.
    bool off = (byte >> kSleepTypeShift & kSleepTypeMask) == kSleepTypeS5;
    if (off) owner_.sink_.guest_power_off();
  }
}

// There is no keyboard.  "Input buffer full" (bit 1) clear lets a kernel that resets through 0x64 do so at
// once; "output buffer full" (bit 0) set for ever makes a kernel that probes see that nobody is there.
uint64_t PowerControl::KeyboardController::io_read(uint64_t, unsigned) { return 0xfd; }

void PowerControl::KeyboardController::io_write(uint64_t, unsigned, uint64_t value) {
  constexpr uint8_t kPulseResetLine = 0xfe;
  if (static_cast<uint8_t>(value) == kPulseResetLine) sink_.guest_reset();
}

}  // namespace pagurus::device
