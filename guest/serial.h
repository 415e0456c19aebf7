// The first serial port (16550 at 0x3f8), polled.
#pragma once

#include <cstddef>
#include <cstdint>

#include "guest/text.h"

namespace pagurus::guest {

// Where a port access leaves the guest, a line of 80 characters costs milliseconds; so lines are queued and the idle
// loop sends a few characters at a time.  Boot-processor only.
class Serial {
 public:
  void init();

  // Queues text; when the queue is full the rest of the text is dropped and counted.
  void write(TextView text);

  // Sends what is queued and then `text` before returning: for boot, power-off and exceptions.
  void write_now(TextView text);

  // Sends up to `budget` queued characters as far as the port takes them at once.
  void drain(unsigned budget);

  bool has_output() const { return head_ != tail_; }

  // Takes what was typed; returns a finished line (without line end), or an empty view.  The view is valid until
  // the next call.
  TextView poll_line();

  uint64_t dropped() const { return dropped_; }

 private:
  bool transmitter_ready() const;

  static constexpr size_t kQueueSize = 4096;
  static constexpr size_t kLineSize = 80;
  char queue_[kQueueSize] = {};
  size_t head_ = 0;
  size_t tail_ = 0;
  char line_[kLineSize] = {};
  size_t line_size_ = 0;
  uint64_t dropped_ = 0;
};

Serial& serial();

}  // namespace pagurus::guest
