#include "device/serial/uart_16550.h"

#include <array>
#include <utility>

namespace pagurus::device {
namespace {

// Registers (16550D data sheet, table II); 0 and 1 are the divisor while kDivisorLatch is set.
enum Register : unsigned { kData = 0, kIer = 1, kIirFcr = 2, kLcr = 3, kMcr = 4, kLsr = 5, kMsr = 6, kScratch = 7 };

constexpr uint8_t kIerReceived = 0x01;
constexpr uint8_t kIerTransmitter = 0x02;
constexpr uint8_t kIerLineStatus = 0x04;
constexpr uint8_t kIerModemStatus = 0x08;
constexpr uint8_t kIerMask = 0x0f;

constexpr uint8_t kIirNone = 0x01;
constexpr uint8_t kIirModemStatus = 0x00;
constexpr uint8_t kIirTransmitter = 0x02;
constexpr uint8_t kIirReceived = 0x04;
constexpr uint8_t kIirLineStatus = 0x06;
constexpr uint8_t kIirTimeout = 0x0c;
constexpr uint8_t kIirFifos = 0xc0;

constexpr uint8_t kFcrEnable = 0x01;
constexpr uint8_t kFcrClearReceived = 0x02;
constexpr uint8_t kFcrTrigger = 0xc0;

constexpr uint8_t kLcrDivisorLatch = 0x80;

constexpr uint8_t kMcrDtr = 0x01;
constexpr uint8_t kMcrRts = 0x02;
constexpr uint8_t kMcrOut1 = 0x04;
constexpr uint8_t kMcrOut2 = 0x08;
constexpr uint8_t kMcrLoopback = 0x10;
constexpr uint8_t kMcrMask = 0x1f;

constexpr uint8_t kLsrDataReady = 0x01;
constexpr uint8_t kLsrOverrun = 0x02;
constexpr uint8_t kLsrTransmitterEmpty = 0x60;  // THRE and TEMT

constexpr uint8_t kMsrCts = 0x10;
constexpr uint8_t kMsrDsr = 0x20;
constexpr uint8_t kMsrRing = 0x40;
constexpr uint8_t kMsrCarrier = 0x80;
constexpr uint8_t kMsrLines = 0xf0;

}  // namespace

Uart16550::Uart16550(chardev::Backend& backend, bus::EdgeLine& line) : backend_(backend), line_(line) {
  backend_.attach(this);
}

Uart16550::~Uart16550() { backend_.attach(nullptr); }

uint64_t Uart16550::io_read(uint64_t offset, unsigned size) {
  uint64_t value = 0;
  bool room = false;
  {
    std::lock_guard lock(lock_);
    // A wider access is one per byte, as the ISA bus splits it.
    for (unsigned i = 0; i < size; ++i) {
      value |= uint64_t{read_register(static_cast<unsigned>(offset + i))} << (8 * i);
    }
    // What was read lowered the condition or left it: nothing can rise here.
    asserted_ = interrupt_identification() != kIirNone;
    if (input_stalled_ && state_.received.size() < fifo_size()) {
      input_stalled_ = false;
      room = true;
    }
  }
  if (room) backend_.want_input();
  return value;
}

void Uart16550::io_write(uint64_t offset, unsigned size, uint64_t value) {
  bool rose = false;
  bool room = false;
  {
    std::lock_guard lock(lock_);
    for (unsigned i = 0; i < size; ++i) {
      write_register(static_cast<unsigned>(offset + i), static_cast<uint8_t>(value >> (8 * i)));
    }
    rose = interrupt_rose();
    if (input_stalled_ && !loopback() && state_.received.size() < fifo_size()) {
      input_stalled_ = false;
      room = true;
    }
  }
  if (rose) line_.pulse();
  if (room) backend_.want_input();
}

uint8_t Uart16550::read_register(unsigned offset) {
  switch (offset) {
    case kData: return divisor_latch() ? state_.divisor_low : take_received();
    case kIer: return divisor_latch() ? state_.divisor_high : state_.interrupt_enable;
    case kIirFcr: {
      uint8_t id = interrupt_identification();
      if (id == kIirTransmitter) state_.transmit_interrupt = false;
      return id | ((state_.fifo_control & kFcrEnable) != 0 ? kIirFifos : 0);
    }
    case kLcr: return state_.line_control;
    case kMcr: return state_.modem_control;
    case kLsr: {
      uint8_t status = line_status();
      state_.line_errors = 0;
      return status;
    }
    case kMsr: {
      uint8_t status = modem_status();
      state_.modem_deltas = 0;
      return status;
    }
    case kScratch: return state_.scratch;
    default: return 0xff;
  }
}

void Uart16550::write_register(unsigned offset, uint8_t value) {
  switch (offset) {
    case kData:
      if (divisor_latch())
        state_.divisor_low = value;
      else
        transmit(value);
      break;
    case kIer:
      if (divisor_latch()) {
        state_.divisor_high = value;
        break;
      }
      // Enabling it while the transmitter is empty interrupts at once: drivers start sending that way.
      if ((value & ~state_.interrupt_enable & kIerTransmitter) != 0 && state_.unsent.empty()) {
        state_.transmit_interrupt = true;
      }
      state_.interrupt_enable = value & kIerMask;
      break;
    case kIirFcr:
      if (((value ^ state_.fifo_control) & kFcrEnable) != 0 || (value & kFcrClearReceived) != 0) {
        state_.received.clear();
      }
      // Clearing the transmit FIFO is ignored: those bytes count as being on the wire already.
      state_.fifo_control = (value & kFcrEnable) != 0 ? value & (kFcrEnable | kFcrTrigger) : 0;
      break;
    case kLcr: state_.line_control = value; break;
    case kMcr: set_modem_control(value & kMcrMask); break;
    case kScratch: state_.scratch = value; break;
    default: break;  // LSR and MSR are read-only
  }
}

// The highest of the pending conditions (data sheet, table IV).
uint8_t Uart16550::interrupt_identification() const {
  uint8_t enabled = state_.interrupt_enable;
  if ((enabled & kIerLineStatus) != 0 && state_.line_errors != 0) return kIirLineStatus;
  if ((enabled & kIerReceived) != 0 && !state_.received.empty()) {
    constexpr std::array<size_t, 4> kTriggerLevels{1, 4, 8, 14};
    bool fifos = (state_.fifo_control & kFcrEnable) != 0;
    size_t trigger = fifos ? kTriggerLevels[state_.fifo_control >> 6] : 1;
    return state_.received.size() >= trigger ? kIirReceived : kIirTimeout;
  }
  if ((enabled & kIerTransmitter) != 0 && state_.transmit_interrupt) return kIirTransmitter;
  if ((enabled & kIerModemStatus) != 0 && state_.modem_deltas != 0) return kIirModemStatus;
  return kIirNone;
}

bool Uart16550::interrupt_rose() {
  bool was = asserted_;
  asserted_ = interrupt_identification() != kIirNone;
  return asserted_ && !was;
}

uint8_t Uart16550::line_status() const {
  uint8_t status = state_.line_errors;
  if (!state_.received.empty()) status |= kLsrDataReady;
  if (state_.unsent.empty()) status |= kLsrTransmitterEmpty;
  return status;
}

// A modem that is always ready, or, in loopback, our own outputs (data sheet, "MODEM Control Register").
uint8_t Uart16550::modem_status() const {
  uint8_t lines = kMsrCts | kMsrDsr | kMsrCarrier;
  if (loopback()) {
    lines = 0;
    if ((state_.modem_control & kMcrRts) != 0) lines |= kMsrCts;
    if ((state_.modem_control & kMcrDtr) != 0) lines |= kMsrDsr;
    if ((state_.modem_control & kMcrOut1) != 0) lines |= kMsrRing;
    if ((state_.modem_control & kMcrOut2) != 0) lines |= kMsrCarrier;
  }
  return lines | state_.modem_deltas;
}

void Uart16550::set_modem_control(uint8_t value) {
  uint8_t before = modem_status() & kMsrLines;
  state_.modem_control = value;
  uint8_t after = modem_status() & kMsrLines;
  // The ring indicator counts only when it goes away.
  uint8_t changed = (before ^ after) & static_cast<uint8_t>(~(after & kMsrRing));
  state_.modem_deltas |= changed >> 4;
}

uint8_t Uart16550::take_received() {
  if (state_.received.empty()) return 0;
  uint8_t byte = state_.received.front();
  state_.received.erase(state_.received.begin());
  return byte;
}

void Uart16550::put_received(uint8_t byte) {
  if (state_.received.size() < fifo_size())
    state_.received.push_back(byte);
  else
    state_.line_errors |= kLsrOverrun;
}

void Uart16550::transmit(uint8_t byte) {
  // A write acknowledges the condition, so that its return is a new edge even for a driver that
  // never reads IIR.
  state_.transmit_interrupt = false;
  asserted_ = interrupt_identification() != kIirNone;
  if (loopback()) {
    put_received(byte);
    state_.transmit_interrupt = true;
    return;
  }
  if (state_.unsent.size() >= UartState::kMaxUnsent) {
    if (dropped_.note()) {
      log_warning("serial port: the guest ignores that its reader is stalled; {} bytes dropped so far",
                  dropped_.count());
    }
    return;
  }
  state_.unsent.push_back(byte);
  // Still waiting for an earlier byte: writable() will come.
  if (state_.unsent.size() > 1) return;
  flush();
}

void Uart16550::flush() {
  if (state_.unsent.empty()) return;
  size_t taken = backend_.write(state_.unsent);
  state_.unsent.erase(state_.unsent.begin(), state_.unsent.begin() + static_cast<ptrdiff_t>(taken));
  state_.transmit_interrupt = state_.unsent.empty();
}

size_t Uart16550::can_receive() {
  std::lock_guard lock(lock_);
  size_t used = state_.received.size();
  size_t room = loopback() || used >= fifo_size() ? 0 : fifo_size() - used;
  input_stalled_ = room == 0;
  return room;
}

void Uart16550::receive(std::span<const uint8_t> bytes) {
  bool rose = false;
  {
    std::lock_guard lock(lock_);
    // The guest may have switched the FIFO off or loopback on meanwhile: what no longer fits is an
    // overrun, as on a real line.
    for (uint8_t byte : bytes) put_received(byte);
    rose = interrupt_rose();
  }
  if (rose) line_.pulse();
}

void Uart16550::writable() {
  bool rose = false;
  {
    std::lock_guard lock(lock_);
    flush();
    rose = interrupt_rose();
  }
  if (rose) line_.pulse();
}

void Uart16550::reset() {
  bool room = false;
  {
    std::lock_guard lock(lock_);
    UartState fresh;
    fresh.unsent = std::move(state_.unsent);
    state_ = std::move(fresh);
    asserted_ = false;
    room = std::exchange(input_stalled_, false);
  }
  if (room) backend_.want_input();
}

bool Uart16550::loopback() const { return (state_.modem_control & kMcrLoopback) != 0; }

bool Uart16550::divisor_latch() const { return (state_.line_control & kLcrDivisorLatch) != 0; }

size_t Uart16550::fifo_size() const { return (state_.fifo_control & kFcrEnable) != 0 ? UartState::kFifoSize : 1; }

void Uart16550::save(vmstate::Writer& writer) const {
  std::lock_guard lock(lock_);
  vmstate::write_state(writer, state_);
}

Result<void> Uart16550::load(vmstate::Reader& reader) {
  auto state = TRY(vmstate::read_state<UartState>(reader));
  std::lock_guard lock(lock_);
  state_ = std::move(state);
  // An interrupt that was raised is in the interrupt controller's state: raising it again would
  // double it.
  asserted_ = interrupt_identification() != kIirNone;
  input_stalled_ = false;
  return {};
}

}  // namespace pagurus::device
