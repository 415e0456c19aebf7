// Set-up and notifications.

#include "guest/virtqueue.h"

namespace pagurus::guest {

void Virtqueue::set_memory(void* block, uint16_t most) {
  memory_ = block;
  most_ = most;
}

void Virtqueue::init(const Setup& setup) {
  size_ = setup.shape.size;
  packed_ = setup.packed;
  notify_address_ = setup.notify_address;
  index_ = setup.index;
  armed_ = false;
  if (packed_) {
    packed_ring_.init(memory_, setup.shape);
  } else {
    split_.init(memory_, setup.shape);
  }
}

void Virtqueue::post_request(uint16_t descriptor, const Request& request) {
  if (packed_) {
    packed_ring_.post_request(descriptor, request);
  } else {
    split_.post_request(descriptor, request);
  }
}

void Virtqueue::kick() {
  if (packed_ ? !packed_ring_.has_news() : !split_.has_news()) return;
  full_barrier();  // what is available must be visible before the device's wish is read
  if (packed_ ? !packed_ring_.wants_kick() : !split_.wants_kick()) {
    ++kicks_saved_;
    return;
  }
  ++kicks_;
  write_mmio<uint16_t>(notify_address_, index_);
}

bool Virtqueue::arm_interrupt() {
  if (!armed_) {
    armed_ = true;
    if (packed_) {
      packed_ring_.arm_interrupt();
    } else {
      split_.arm_interrupt();
    }
    full_barrier();  // the device must see this before we decide that nothing has come
  }
  if (!has_used()) return true;
  disarm_interrupt();
  return false;
}

void Virtqueue::disarm_interrupt() {
  if (!armed_) return;
  armed_ = false;
  if (packed_) {
    packed_ring_.disarm_interrupt();
  } else {
    split_.disarm_interrupt();
  }
}

}  // namespace pagurus::guest
