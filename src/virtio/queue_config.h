// What a virtqueue is made from, whatever its layout: the registers that its driver wrote, what was
// negotiated, and how far it has come.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/result.h"
#include "memory/guest_memory.h"

namespace pagurus::virtio {

inline constexpr uint16_t kMaxQueueSize = 1024;  // also the most iovecs that readv takes

// The registers of one queue, with the names of a split one.
struct QueueConfig {
  uint16_t size = 0;
  bool enabled = false;
  memory::GuestAddress descriptors;  // packed: the ring
  memory::GuestAddress avail;        // packed: the driver's event suppression
  memory::GuestAddress used;         // packed: the device's
};

struct QueueFeatures {
  bool event_idx = false;
  bool indirect = false;
  bool packed = false;
};

// How far the device has come.
struct QueuePosition {
  // Split: the numbers, modulo 2^16, of the next chain to pop and to publish.  Packed: where the next
  // descriptor to pop and to write is in the ring, with the wrap counter in bit 15.
  uint16_t avail = 0;
  uint16_t used = 0;
  bool operator==(const QueuePosition&) const = default;
};

// Both halves in one word, so that another thread sees a pair that was true.
class AtomicPosition {
 public:
  explicit AtomicPosition(QueuePosition position) { *this = position; }
  AtomicPosition(AtomicPosition&& other) noexcept : AtomicPosition(static_cast<QueuePosition>(other)) {}
  AtomicPosition& operator=(AtomicPosition&&) = delete;
  AtomicPosition& operator=(QueuePosition position) {
    word_.store(uint32_t{position.avail} << 16 | position.used, std::memory_order_relaxed);
    return *this;
  }
  operator QueuePosition() const {  // NOLINT(google-explicit-constructor)
    uint32_t word = word_.load(std::memory_order_relaxed);
    return {.avail = static_cast<uint16_t>(word >> 16), .used = static_cast<uint16_t>(word)};
  }

 private:
  std::atomic<uint32_t> word_;
};

// The host address of one area of a queue, checked for alignment (virtio 1.2, 2.7 and 2.8) and RAM.
Result<uint8_t*> ring_area(const memory::GuestMemory& memory, const char* what, memory::GuestAddress base,
                           uint64_t bytes, uint64_t alignment);

}  // namespace pagurus::virtio
