// The driver's half of a split virtqueue (virtio 1.2, 2.7), one buffer per descriptor.
#pragma once

#include <cstdint>

#include "guest/cpu.h"

namespace pagurus::guest {

// Descriptor i always carries one buffer; chains and indirect tables are not used.
//
// The ring is in one block of memory of its own: descriptors, available ring, used ring.  Interrupts are off unless
// armed: the main loop looks at the used ring itself and arms them only to sleep.
class Virtqueue {
 public:
  static constexpr unsigned kMaxSize = 256;

  enum class Direction : uint16_t { device_reads = 0, device_writes = 2 };

  struct Used {
    uint16_t descriptor;
    uint32_t length;
  };

  void init(uint16_t size, bool event_idx, uint64_t notify_address, uint16_t index);

  uint16_t size() const { return size_; }
  uint64_t descriptor_address() const { return reinterpret_cast<uint64_t>(memory_->descriptors); }
  uint64_t available_address() const { return reinterpret_cast<uint64_t>(&memory_->available_flags); }
  uint64_t used_address() const { return reinterpret_cast<uint64_t>(&memory_->used_flags); }

  void set_memory(void* block);  // memory_size() bytes, 4096-aligned
  static constexpr uint64_t memory_size();

  // Makes the buffer available; the device is told by kick() at the end of a batch.
  void post(uint16_t descriptor, uint64_t address, uint32_t length, Direction direction) {
    memory_->descriptors[descriptor] = {address, length, static_cast<uint16_t>(direction), 0};
    memory_->available[available_index_ & mask_] = descriptor;
    ++available_index_;
    compiler_barrier();
    memory_->available_index = available_index_;
  }

  bool has_used() const { return memory_->used_index != last_used_; }
  // For those who want to stop when something arrives.
  const volatile uint16_t* used_index() const { return &memory_->used_index; }
  uint16_t last_used() const { return last_used_; }

  Used take_used() {
    compiler_barrier();
    const auto& element = memory_->used[last_used_ & mask_];
    const Used used{static_cast<uint16_t>(element.id), element.length};
    ++last_used_;
    return used;
  }

  // Tells the device of everything posted since the last kick, unless it said it need not know.
  void kick();

  // Asks for an interrupt at the next used buffer.  Returns false if one is there already (nothing is armed then).
  bool arm_interrupt();
  void disarm_interrupt();

  uint64_t kicks() const { return kicks_; }
  uint64_t kicks_saved() const { return kicks_saved_; }

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

  Memory* memory_ = nullptr;
  uint16_t size_ = 0;
  uint16_t mask_ = 0;
  uint16_t available_index_ = 0;
  uint16_t kicked_index_ = 0;
  uint16_t last_used_ = 0;
  uint16_t index_ = 0;
  bool event_idx_ = false;
  uint64_t notify_address_ = 0;
  uint64_t kicks_ = 0;
  uint64_t kicks_saved_ = 0;
};

constexpr uint64_t Virtqueue::memory_size() { return (sizeof(Memory) + 4095) & ~uint64_t{4095}; }

}  // namespace pagurus::guest
