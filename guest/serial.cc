// Polled 16550 driver.

#include "guest/serial.h"

#include "guest/cpu.h"

namespace pagurus::guest {
namespace {

constexpr uint16_t kPort = 0x3f8;
constexpr uint16_t kData = kPort;
constexpr uint16_t kInterruptEnable = kPort + 1;
constexpr uint16_t kFifoControl = kPort + 2;
constexpr uint16_t kLineControl = kPort + 3;
constexpr uint16_t kModemControl = kPort + 4;
constexpr uint16_t kLineStatus = kPort + 5;
constexpr uint8_t kDataReady = 0x01;
constexpr uint8_t kTransmitterEmpty = 0x20;

// A port that never becomes ready (or is not there) must not stop the guest.
constexpr unsigned kReadyAttempts = 20000;

constinit Serial the_serial;

}  // namespace

Serial& serial() { return the_serial; }

void Serial::init() {
  out8(kInterruptEnable, 0);
  out8(kLineControl, 0x80);
  out8(kData, 1);  // divisor 1: 115200 baud
  out8(kInterruptEnable, 0);
  out8(kLineControl, 0x03);
  out8(kFifoControl, 0x07);
  out8(kModemControl, 0x03);
}

bool Serial::transmitter_ready() const { return (in8(kLineStatus) & kTransmitterEmpty) != 0; }

void Serial::write(TextView text) {
  for (size_t i = 0; i < text.size; ++i) {
    const size_t next = (head_ + 1) % kQueueSize;
    if (next == tail_) {
      dropped_ += text.size - i;
      return;
    }
    queue_[head_] = text.data[i];
    head_ = next;
  }
}

void Serial::write_now(TextView text) {
  write(text);
  unsigned attempts = kReadyAttempts;
  while (has_output() && attempts != 0) {
    const size_t before = tail_;
    drain(kQueueSize);
    attempts = tail_ == before ? attempts - 1 : kReadyAttempts;
  }
}

void Serial::drain(unsigned budget) {
  for (; budget != 0 && has_output() && transmitter_ready(); --budget) {
    out8(kData, static_cast<uint8_t>(queue_[tail_]));
    tail_ = (tail_ + 1) % kQueueSize;
  }
}

TextView Serial::poll_line() {
  for (unsigned taken = 0; taken < 16; ++taken) {
    const uint8_t status = in8(kLineStatus);
    if (status == 0xff || (status & kDataReady) == 0) break;
    const char c = static_cast<char>(in8(kData));
    if (c == '\n' || c == '\r') {
      const size_t n = line_size_;
      line_size_ = 0;
      if (n != 0) return {line_, n};
    } else if (line_size_ < kLineSize) {
      line_[line_size_++] = c;
    }
  }
  return {};
}

}  // namespace pagurus::guest
