// A 16550A serial port: eight registers, two FIFOs, one edge-triggered interrupt.
//
// Time does not exist here: a byte is on the wire as soon as it is written, a byte that arrives
// below the trigger level is at once a "character time-out".
//
// Back pressure: a byte the back end does not take is kept in `unsent`, and the guest sees the
// transmitter busy (THRE and TEMT clear) until all of them are gone.  A driver that waits loses
// nothing however slow the reader is.  One that writes all the same (Linux's console gives up waiting
// after 10 ms) fills `unsent`; what exceeds UartState::kMaxUnsent is dropped and counted.
//
// Threads: registers on vCPU threads, the Frontend part on the control thread; lock_ guards state_
// and input_stalled_.  The back end is called under lock_; the interrupt line is pulsed outside it.
#pragma once

#include <mutex>

#include "base/log.h"
#include "bus/interrupt.h"
#include "bus/io_bus.h"
#include "chardev/backend.h"
#include "device/serial/uart_state.h"
#include "vmstate/section.h"

namespace pagurus::device {

class Uart16550 final : public bus::IoHandler, public chardev::Frontend, public vmstate::Section {
 public:
  // Both outlive this.  Attaches itself to the back end, and detaches when destroyed.
  Uart16550(chardev::Backend& backend, bus::EdgeLine& line);
  ~Uart16550() override;

  uint64_t io_read(uint64_t offset, unsigned size) override;
  void io_write(uint64_t offset, unsigned size, uint64_t value) override;

  size_t can_receive() override;
  void receive(std::span<const uint8_t> bytes) override;
  void writable() override;

  // The machine was reset.  What the guest has written before still goes out.
  void reset();

  const vmstate::Description& description() const override { return UartState::description(); }
  void save(vmstate::Writer& writer) const override;
  Result<void> load(vmstate::Reader& reader) override;

 private:
  // Each runs under lock_.
  uint8_t read_register(unsigned offset);
  void write_register(unsigned offset, uint8_t value);
  uint8_t interrupt_identification() const;
  uint8_t line_status() const;
  uint8_t modem_status() const;
  uint8_t take_received();
  void put_received(uint8_t byte);
  void transmit(uint8_t byte);
  void flush();
  void set_modem_control(uint8_t value);
  bool loopback() const;
  bool divisor_latch() const;
  size_t fifo_size() const;

  // True once per rise of the interrupt condition: the caller pulses the line after unlocking.
  bool interrupt_rose();

  chardev::Backend& backend_;
  bus::EdgeLine& line_;
  mutable std::mutex lock_;
  UartState state_;
  bool input_stalled_ = false;  // the back end was told there is no room
  bool asserted_ = false;       // derived: the condition when last looked at
  GuestFaults dropped_;
};

}  // namespace pagurus::device
