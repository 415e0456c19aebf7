// A split virtqueue, from the device's side.
//
// QueueConfig is what a driver writes into registers, and may be any nonsense.  Queue::activate()
// checks it once and makes a running Queue, which exists only with rings that lie in RAM.
//
//   QueueConfig ──activate()──▶ Queue: pop() ... push_used() ... publish_used()
//
// A chain popped is in flight until it is pushed or given back by unpop().  Pushed chains become
// visible to the driver together, with publish_used().
//
// Whatever the driver does to its rings, a call ends after a bounded number of steps (the queue
// size), allocates nothing beyond it, and reports BrokenRing; the caller then takes the device to
// NEEDS_RESET and uses the queue no more.
//
// What the device writes into RAM is noted in the dirty log (memory/guest_memory.h): the rings' fields
// and the bytes of a chain that is pushed by the queue itself, the bytes of a chain that goes back to
// the driver's ring by note_written().
//
// Threads: one at a time, the queue's worker, or another one while that is frozen; position() from
// any thread.
#pragma once

#include <sys/uio.h>

#include <atomic>
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "memory/guest_memory.h"
#include "virtio/ring.h"

namespace pagurus::virtio {

inline constexpr uint16_t kMaxQueueSize = 1024;  // also the most iovecs that readv takes

// The registers of one queue.
struct QueueConfig {
  uint16_t size = 0;
  bool enabled = false;
  memory::GuestAddress descriptors;
  memory::GuestAddress avail;
  memory::GuestAddress used;
};

struct QueueFeatures {
  bool event_idx = false;
  bool indirect = false;
};

// How far the device has come: the numbers of the next chain to pop and to publish.
struct QueuePosition {
  uint16_t avail = 0;
  uint16_t used = 0;
};

// One chain of buffers, checked: all in RAM, the readable ones first.  Refilled by each pop() so
// that a busy queue does not allocate.
class DescriptorChain {
 public:
  uint16_t head() const { return head_; }
  // What the device reads, then what it writes.
  std::span<iovec> readable() { return std::span(buffers_).first(readable_count_); }
  std::span<iovec> writable() { return std::span(buffers_).subspan(readable_count_); }
  std::span<const iovec> writable() const { return std::span(buffers_).subspan(readable_count_); }
  uint64_t readable_bytes() const { return readable_bytes_; }
  uint64_t writable_bytes() const { return writable_bytes_; }

 private:
  friend class Queue;
  uint16_t head_ = 0;
  size_t readable_count_ = 0;
  uint64_t readable_bytes_ = 0;
  uint64_t writable_bytes_ = 0;
  std::vector<iovec> buffers_;
};

class Queue {
 public:
  // max_size: what the device offers, at most kMaxQueueSize.  Fails with what the driver did wrong.
  // `memory` outlives the queue.
  static Result<Queue> activate(const QueueConfig& config, uint16_t max_size, QueueFeatures features,
                                QueuePosition position, const memory::GuestMemory& memory);
  Queue(Queue&& other) noexcept;
  Queue& operator=(Queue&&) = delete;

  uint16_t size() const { return size_; }
  QueuePosition position() const;

  // Takes the next chain; false if the driver has offered none.
  RingResult<bool> pop(DescriptorChain& chain);
  // Gives back the last `count` chains popped; none of them may have been pushed.
  void unpop(uint16_t count);
  // Returns a chain with `written` bytes in its writable buffers; not visible before publish_used().
  void push_used(const DescriptorChain& chain, uint32_t written);
  // The first `bytes` bytes of the chain's writable buffers have been written.
  void note_written(const DescriptorChain& chain, uint64_t bytes) const;
  // Makes what was pushed visible.  True if the driver wants an interrupt for it.
  [[nodiscard]] bool publish_used();

  // Asks the driver to kick when it offers more.  True if it has meanwhile: then no kick will
  // come for those, so look again.
  [[nodiscard]] RingResult<bool> enable_kicks();
  // Kicks may still come; they are only not asked for.
  void disable_kicks();

 private:
  struct Rings {
    uint8_t* descriptors;
    uint8_t* avail;
    uint8_t* used;
  };
  Queue(const memory::GuestMemory& memory, Rings rings, uint16_t size, QueueFeatures features, QueuePosition position);

  void set_position(QueuePosition position);
  void store(uint8_t* field, uint16_t value, std::memory_order order) const;
  RingResult<uint16_t> look_at_avail();
  RingResult<void> walk(const uint8_t* table, uint32_t entries, uint16_t first, DescriptorChain& chain) const;
  RingResult<void> walk_indirect(const Descriptor& table, DescriptorChain& chain) const;
  RingResult<void> add_buffer(const Descriptor& descriptor, DescriptorChain& chain) const;
  std::atomic_ref<uint16_t> used_event() const { return ring_field(rings_.avail + kRingHeaderBytes + 2 * size_); }
  uint8_t* avail_event() const { return rings_.used + kRingHeaderBytes + 8 * size_; }

  const memory::GuestMemory& memory_;
  Rings rings_;
  uint16_t size_;
  QueueFeatures features_;
  uint16_t seen_avail_;  // the driver's idx when we last looked
  uint16_t pushed_ = 0;  // pushed and not published
  // Both halves of QueuePosition in one word, so that another thread sees a pair that was true.
  std::atomic<uint32_t> position_;
};

}  // namespace pagurus::virtio
