// The driver's half of a split virtqueue (virtio 1.2, 2.7).
#pragma once

#include <cstdint>

#include "guest/cpu.h"
#include "guest/ring.h"

namespace pagurus::guest {

// The ring is in one block of memory of its own: descriptors, available ring, used ring.
class SplitRing {
 public:
  static constexpr unsigned kMaxSize = 1024;

  void init(void* block, RingShape shape);

  uint64_t descriptor_address() const { return reinterpret_cast<uint64_t>(memory_->descriptors); }
  uint64_t driver_address() const { return reinterpret_cast<uint64_t>(&memory_->available_flags); }
  uint64_t device_address() const { return reinterpret_cast<uint64_t>(&memory_->used_flags); }
  static constexpr uint64_t memory_size();

  void post(uint16_t descriptor, uint64_t address, uint32_t length, Direction direction) {
    memory_->descriptors[descriptor] = {address, length, static_cast<uint16_t>(direction), 0};
    publish(descriptor);
  }

  // Two descriptors, `descriptor` and the one behind it.
  void post_request(uint16_t descriptor, const Request& request) {
    constexpr uint16_t kNext = 1;
    const auto second = static_cast<uint16_t>(descriptor + 1);
    memory_->descriptors[descriptor] = {request.question, request.question_size, kNext, second};
    memory_->descriptors[second] = {request.answer, request.answer_size,
                                    static_cast<uint16_t>(Direction::device_writes), 0};
    publish(descriptor);
  }

  bool has_used() const { return memory_->used_index != last_used_; }
  Watch watch() const { return {&memory_->used_index, last_used_}; }

  Used take_used() {
    compiler_barrier();
    const auto& element = memory_->used[last_used_ & mask_];
    const Used used{static_cast<uint16_t>(element.id), element.length};
    ++last_used_;
    return used;
  }

  bool has_news() const { return kicked_index_ != available_index_; }
  // Whether the device wants to know of what was posted since the last call.
  bool wants_kick();

  void arm_interrupt();
  void disarm_interrupt();

 private:
  struct Descriptor {
    uint64_t address;
    uint32_t length;
    uint16_t flags;
    uint16_t next;
  };
  struct UsedElement {
    uint32_t id;
    uint32_t length;
  };
  // Laid out for the largest size; a smaller ring uses the beginning of each array, and its event words lie
  // right behind the entries in use, so they are addressed by index.
  struct Memory {
    Descriptor descriptors[kMaxSize];
    uint16_t available_flags;
    volatile uint16_t available_index;
    volatile uint16_t available[kMaxSize + 1];  // used_event behind the last entry
    alignas(64) volatile uint16_t used_flags;
    volatile uint16_t used_index;
    volatile UsedElement used[kMaxSize + 1];  // avail_event behind the last entry
  };

  void publish(uint16_t descriptor) {
    memory_->available[available_index_ & mask_] = descriptor;
    ++available_index_;
    compiler_barrier();
    memory_->available_index = available_index_;
  }

  Memory* memory_ = nullptr;
  uint16_t size_ = 0;
  uint16_t mask_ = 0;
  uint16_t available_index_ = 0;
  uint16_t kicked_index_ = 0;
  uint16_t last_used_ = 0;
  bool event_idx_ = false;
};

constexpr uint64_t SplitRing::memory_size() { return (sizeof(Memory) + 4095) & ~uint64_t{4095}; }

}  // namespace pagurus::guest
