// The saved state of the serial port.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "vmstate/description.h"

namespace pagurus::device {

struct UartState {
  static constexpr uint64_t kFifoSize = 16;
  static constexpr uint64_t kMaxUnsent = 64 * 1024;

  uint8_t interrupt_enable = 0;
  uint8_t fifo_control = 0;  // enable bit and trigger level only
  uint8_t line_control = 0;
  uint8_t modem_control = 0;
  uint8_t line_errors = 0;   // overrun only
  uint8_t modem_deltas = 0;  // low nibble of MSR
  uint8_t scratch = 0;
  uint8_t divisor_low = 12;  // 9600 baud; no one waits for it
  uint8_t divisor_high = 0;
  bool transmit_interrupt = false;  // THRE condition not yet acknowledged
  std::vector<uint8_t> received;    // not yet read by the guest
  std::vector<uint8_t> unsent;      // written by the guest, not yet taken by the back end

  static const vmstate::Description& description();
  Result<void> validate() const;
};

}  // namespace pagurus::device
