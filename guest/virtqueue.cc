// Set-up and notification suppression (virtio 1.2, 2.7.7 and 2.7.10).

#include "guest/virtqueue.h"

namespace pagurus::guest {
namespace {

constexpr uint16_t kNoInterrupt = 1;  // VIRTQ_AVAIL_F_NO_INTERRUPT
constexpr uint16_t kNoNotify = 1;     // VIRTQ_USED_F_NO_NOTIFY

}  // namespace

void Virtqueue::set_memory(void* block) { memory_ = static_cast<Memory*>(block); }

void Virtqueue::init(uint16_t size, bool event_idx, uint64_t notify_address, uint16_t index) {
  __builtin_memset(static_cast<void*>(memory_), 0, sizeof(Memory));
  size_ = size;
  mask_ = static_cast<uint16_t>(size - 1);
  event_idx_ = event_idx;
  notify_address_ = notify_address;
  index_ = index;
  available_index_ = kicked_index_ = last_used_ = 0;
  disarm_interrupt();
}

void Virtqueue::kick() {
  if (kicked_index_ == available_index_) return;
  full_barrier();  // the index must be visible before the device's wish is read
  const uint16_t old = kicked_index_;
  kicked_index_ = available_index_;
  bool wanted;
  if (event_idx_) {
    const auto event = static_cast<uint16_t>(memory_->used[size_].id);
    wanted = static_cast<uint16_t>(available_index_ - event - 1) < static_cast<uint16_t>(available_index_ - old);
  } else {
    wanted = (memory_->used_flags & kNoNotify) == 0;
  }
  if (!wanted) {
    ++kicks_saved_;
    return;
  }
  ++kicks_;
  write_mmio<uint16_t>(notify_address_, index_);
}

bool Virtqueue::arm_interrupt() {
  if (event_idx_) {
    memory_->available[size_] = last_used_;
  } else {
    memory_->available_flags = 0;
  }
  full_barrier();  // the device must see this before we decide that nothing has come
  if (!has_used()) return true;
  disarm_interrupt();
  return false;
}

void Virtqueue::disarm_interrupt() {
  if (event_idx_) {
    // An event index just behind us is the one the device reaches last.
    memory_->available[size_] = static_cast<uint16_t>(last_used_ - 1);
  } else {
    memory_->available_flags = kNoInterrupt;
  }
}

}  // namespace pagurus::guest
