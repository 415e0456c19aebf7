// The control queue of a network device (virtio 1.2, 5.1.6.5): one command at a time.
#pragma once

#include <cstdint>

#include "guest/virtqueue.h"

namespace pagurus::guest {

// A command is posted and completes whenever the device likes, also in another process of the monitor.  It can be
// repeated: each time the device has answered, poll() posts it again.
//
// Boot processor only.
class ControlQueue {
 public:
  static constexpr uint32_t kMaxCommand = 256;

  enum class Notify : uint8_t { now, later };  // later: the device is not told before kick()

  void set_memory(void* ring) { queue_.set_memory(ring, 64); }
  void start() { usable_ = true; }
  bool usable() const { return usable_; }

  // `size` bytes of class, command and data, `times` times one after the other.  False if one is pending, or too large.
  bool post(const uint8_t* command, uint32_t size, uint64_t times, Notify notify);
  void kick() { queue_.kick(); }

  // Takes answers and posts what is to be repeated.
  void poll() {
    if (pending_ && queue_.has_used()) complete();
  }

  // Polls until nothing is pending, for a while; false if it still is.
  bool wait();

  bool pending() const { return pending_; }
  const uint8_t* command() const;
  // 0 ok, 1 error; 255 if the device wrote none or more than that.
  uint8_t acknowledgement() const { return acknowledgement_; }
  uint64_t completed() const { return completed_; }
  uint64_t failed() const { return failed_; }
  Virtqueue& queue() { return queue_; }

 private:
  void submit();
  void complete();

  Virtqueue queue_;
  bool usable_ = false;
  bool pending_ = false;
  uint8_t acknowledgement_ = 0;
  uint32_t size_ = 0;
  uint64_t times_ = 0;
  uint64_t completed_ = 0;  // since the start of the guest
  uint64_t failed_ = 0;
};

}  // namespace pagurus::guest
