// The driver's half of a packed virtqueue (virtio 1.2, 2.8).
#pragma once

#include <cstdint>

#include "guest/cpu.h"
#include "guest/ring.h"

namespace pagurus::guest {

// One ring of descriptors, which the driver makes available and the device marks as used in place.  Whose a descriptor
// is depends on two of its flags and on the round that a side is in (its wrap counter).
//
// A ring carries either single buffers (post) or requests of two descriptors (post_request).
class PackedRing {
 public:
  static constexpr unsigned kMaxSize = 1024;

  void init(void* block, RingShape shape);

  uint64_t descriptor_address() const { return reinterpret_cast<uint64_t>(memory_->descriptors); }
  uint64_t driver_address() const { return reinterpret_cast<uint64_t>(&memory_->driver_event); }
  uint64_t device_address() const { return reinterpret_cast<uint64_t>(&memory_->device_event); }
  static constexpr uint64_t memory_size();

  void post(uint16_t descriptor, uint64_t address, uint32_t length, Direction direction) {
    Descriptor& slot = memory_->descriptors[next_];
    slot.address = address;
    slot.length = length;
    slot.id = descriptor;
    compiler_barrier();
    slot.flags = static_cast<uint16_t>(available_flags_ | static_cast<uint16_t>(direction));
    advance();
  }

  void post_request(uint16_t descriptor, const Request& request);

  bool has_used() const { return (memory_->descriptors[used_].flags & kOwner) == used_flags_; }
  Watch watch() const {
    const volatile uint16_t* flags = &memory_->descriptors[used_].flags;
    return {flags, *flags};
  }

  Used take_used() {
    compiler_barrier();
    const Descriptor& slot = memory_->descriptors[used_];
    const Used used{slot.id, slot.length};
    used_ = static_cast<uint16_t>(used_ + chain_);
    if (used_ >= size_) {
      used_ = static_cast<uint16_t>(used_ - size_);
      used_flags_ ^= kOwner;
    }
    return used;
  }

  bool has_news() const { return news_ != 0; }
  bool wants_kick();

  void arm_interrupt();
  void disarm_interrupt();

 private:
  static constexpr uint16_t kAvailable = 1 << 7;
  static constexpr uint16_t kUsed = 1 << 15;
  static constexpr uint16_t kOwner = kAvailable | kUsed;

  struct Descriptor {
    uint64_t address;
    uint32_t length;
    uint16_t id;
    volatile uint16_t flags;
  };
  struct Event {
    volatile uint16_t position;  // bit 15: the wrap counter
    volatile uint16_t flags;
  };
  struct Memory {
    Descriptor descriptors[kMaxSize];
    Event driver_event;  // when the device may interrupt
    Event device_event;  // when it wants a kick
  };

  void advance() {
    ++news_;
    if (++next_ == size_) {
      next_ = 0;
      available_flags_ ^= kOwner;
    }
  }

  Memory* memory_ = nullptr;
  uint16_t size_ = 0;
  uint16_t next_ = 0;             // the next descriptor to be made available
  uint16_t available_flags_ = 0;  // what makes one available in this round
  uint16_t used_ = 0;             // the next one to come back
  uint16_t used_flags_ = 0;       // what a used one looks like in this round
  uint16_t chain_ = 1;            // descriptors of one buffer
  uint16_t news_ = 0;             // descriptors since the last kick
  bool event_idx_ = false;
};

constexpr uint64_t PackedRing::memory_size() { return (sizeof(Memory) + 4095) & ~uint64_t{4095}; }

}  // namespace pagurus::guest
