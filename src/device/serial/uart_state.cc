#include "device/serial/uart_state.h"

namespace pagurus::device {

const vmstate::Description& UartState::description() {
  static constexpr auto kFields = std::array{
      vmstate::field<&UartState::interrupt_enable>("interrupt-enable", {.max = 0x0f}),
      vmstate::field<&UartState::fifo_control>("fifo-control"),
      vmstate::field<&UartState::line_control>("line-control"),
      vmstate::field<&UartState::modem_control>("modem-control", {.max = 0x1f}),
      vmstate::field<&UartState::line_errors>("line-errors", {.max = 0x02}),
      vmstate::field<&UartState::modem_deltas>("modem-deltas", {.max = 0x0f}),
      vmstate::field<&UartState::scratch>("scratch"),
      vmstate::field<&UartState::divisor_low>("divisor-low"),
      vmstate::field<&UartState::divisor_high>("divisor-high"),
      vmstate::field<&UartState::transmit_interrupt>("transmit-interrupt"),
      vmstate::field<&UartState::received>("received", {.max = kFifoSize}),
      vmstate::field<&UartState::unsent>("unsent", {.max = kMaxUnsent}),
  };
  static constexpr vmstate::Description kDescription{"uart-16550", 1, kFields};
  return kDescription;
}

Result<void> UartState::validate() const {
  if ((fifo_control & 0x3e) != 0)
    return fail("uart-16550.fifo-control {:#x} has bits that are never stored", fifo_control);
  if (line_errors == 0x01) return fail("uart-16550.line-errors {:#x} is not an error bit", line_errors);
  return {};
}

}  // namespace pagurus::device
