// Set-up, requests and event suppression (virtio 1.2, 2.8.7 and 2.8.10).

#include "guest/packed_ring.h"

namespace pagurus::guest {
namespace {

enum EventFlags : uint16_t { kEnable = 0, kDisable = 1, kAtPosition = 2 };

constexpr uint16_t kNext = 1;
constexpr uint16_t kWrap = 1 << 15;

}  // namespace

void PackedRing::init(void* block, RingShape shape) {
  memory_ = static_cast<Memory*>(block);
  __builtin_memset(block, 0, sizeof(Memory));
  size_ = shape.size;
  event_idx_ = shape.event_idx;
  next_ = used_ = news_ = 0;
  chain_ = 1;
  available_flags_ = kAvailable;
  used_flags_ = kOwner;
  disarm_interrupt();
}

void PackedRing::post_request(uint16_t descriptor, const Request& request) {
  chain_ = 2;
  Descriptor& head = memory_->descriptors[next_];
  const auto head_flags = static_cast<uint16_t>(available_flags_ | kNext);
  head.address = request.question;
  head.length = request.question_size;
  head.id = descriptor;
  advance();
  post(descriptor, request.answer, request.answer_size, Direction::device_writes);
  // The chain is the device's when its head is (2.8.6).
  compiler_barrier();
  head.flags = head_flags;
}

bool PackedRing::wants_kick() {
  const uint16_t news = news_;
  news_ = 0;
  const uint16_t flags = memory_->device_event.flags;
  if (flags != kAtPosition) return flags != kDisable;
  const uint16_t position = memory_->device_event.position;
  auto event = static_cast<uint16_t>(position & ~kWrap);
  const bool same_round = ((position & kWrap) != 0) == ((available_flags_ & kAvailable) != 0);
  if (!same_round) event = static_cast<uint16_t>(event - size_);
  return static_cast<uint16_t>(next_ - event - 1) < news;
}

void PackedRing::arm_interrupt() {
  if (!event_idx_) {
    memory_->driver_event.flags = kEnable;
    return;
  }
  memory_->driver_event.position = static_cast<uint16_t>(used_ | ((used_flags_ & kUsed) != 0 ? kWrap : 0));
  compiler_barrier();
  memory_->driver_event.flags = kAtPosition;
}

void PackedRing::disarm_interrupt() { memory_->driver_event.flags = kDisable; }

}  // namespace pagurus::guest
