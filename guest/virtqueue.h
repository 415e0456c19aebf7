// The driver's half of a virtqueue, split or packed, with its notifications.
#pragma once

#include <cstdint>

#include "guest/cpu.h"
#include "guest/packed_ring.h"
#include "guest/split_ring.h"

namespace pagurus::guest {

// Descriptor i always carries one buffer; only requests are chains, and indirect tables are not used.
//
// Interrupts are off unless armed: the main loop looks at the ring itself and arms them only to sleep.
class Virtqueue {
 public:
  static constexpr unsigned kMaxSize = 1024;
  static constexpr uint64_t kMemorySize = SplitRing::memory_size();  // 4096-aligned
  static_assert(PackedRing::memory_size() <= kMemorySize);

  struct Setup {
    RingShape shape;
    bool packed;
    uint64_t notify_address;
    uint16_t index;
  };

  // Where the ring lies, and how large it may become at most (a power of two).
  void set_memory(void* block, uint16_t most);
  void init(const Setup& setup);

  uint16_t most() const { return most_; }
  uint16_t size() const { return size_; }
  uint64_t descriptor_address() const {
    return packed_ ? packed_ring_.descriptor_address() : split_.descriptor_address();
  }
  uint64_t driver_address() const { return packed_ ? packed_ring_.driver_address() : split_.driver_address(); }
  uint64_t device_address() const { return packed_ ? packed_ring_.device_address() : split_.device_address(); }

  // Makes the buffer available; the device is told by kick() at the end of a batch.
  void post(uint16_t descriptor, uint64_t address, uint32_t length, Direction direction) {
    if (packed_) {
      packed_ring_.post(descriptor, address, length, direction);
    } else {
      split_.post(descriptor, address, length, direction);
    }
  }

  // Uses `descriptor` and the one behind it.  A queue carries either buffers or requests.
  void post_request(uint16_t descriptor, const Request& request);

  bool has_used() const { return packed_ ? packed_ring_.has_used() : split_.has_used(); }
  Watch watch() const { return packed_ ? packed_ring_.watch() : split_.watch(); }
  Used take_used() { return packed_ ? packed_ring_.take_used() : split_.take_used(); }

  // Tells the device of everything posted since the last kick, unless it said it need not know.
  void kick();

  // Asks for an interrupt at the next used buffer.  Returns false if one is there already (nothing is armed then).
  bool arm_interrupt();
  void disarm_interrupt();

  uint64_t kicks() const { return kicks_; }
  uint64_t kicks_saved() const { return kicks_saved_; }

 private:
  SplitRing split_;
  PackedRing packed_ring_;
  void* memory_ = nullptr;
  uint16_t most_ = kMaxSize;
  uint16_t size_ = 0;
  uint16_t index_ = 0;
  bool packed_ = false;
  bool armed_ = false;
  uint64_t notify_address_ = 0;
  uint64_t kicks_ = 0;
  uint64_t kicks_saved_ = 0;
};

}  // namespace pagurus::guest
