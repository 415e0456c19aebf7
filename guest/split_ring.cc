// Set-up and notification suppression (virtio 1.2, 2.7.7 and 2.7.10).

#include "guest/split_ring.h"

namespace pagurus::guest {
namespace {

constexpr uint16_t kNoInterrupt = 1;  // VIRTQ_AVAIL_F_NO_INTERRUPT
constexpr uint16_t kNoNotify = 1;     // VIRTQ_USED_F_NO_NOTIFY

}  // namespace

void SplitRing::init(void* block, RingShape shape) {
  memory_ = static_cast<Memory*>(block);
  __builtin_memset(block, 0, sizeof(Memory));
  size_ = shape.size;
  mask_ = static_cast<uint16_t>(shape.size - 1);
  event_idx_ = shape.event_idx;
  available_index_ = kicked_index_ = last_used_ = 0;
  disarm_interrupt();
}

bool SplitRing::wants_kick() {
  const uint16_t old = kicked_index_;
  kicked_index_ = available_index_;
  if (!event_idx_) return (memory_->used_flags & kNoNotify) == 0;
  const auto event = static_cast<uint16_t>(memory_->used[size_].id);
  return static_cast<uint16_t>(available_index_ - event - 1) < static_cast<uint16_t>(available_index_ - old);
}

void SplitRing::arm_interrupt() {
  if (event_idx_) {
    memory_->available[size_] = last_used_;
  } else {
    memory_->available_flags = 0;
  }
}

void SplitRing::disarm_interrupt() {
  if (event_idx_) {
    // An event index just behind us is the one the device reaches last.
    memory_->available[size_] = static_cast<uint16_t>(last_used_ - 1);
  } else {
    memory_->available_flags = kNoInterrupt;
  }
}

}  // namespace pagurus::guest
