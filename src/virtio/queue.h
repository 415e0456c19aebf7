// A virtqueue, from the device's side.  Its users do not know which layout it has: split (split_ring.h) or
// packed (packed_ring.h).
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

#include <cstdint>
#include <utility>
#include <variant>

#include "virtio/packed_ring.h"
#include "virtio/split_ring.h"

namespace pagurus::virtio {

class Queue {
 public:
  // Where the device begins in a queue that its driver has just set up.
  static QueuePosition first_position(QueueFeatures features) {
    return features.packed ? PackedRing::kFirstPosition : SplitRing::kFirstPosition;
  }
  // Whether a queue of that size can have come there.
  static Result<void> check_position(uint16_t size, QueueFeatures features, QueuePosition position) {
    return features.packed ? PackedRing::check_position(size, position) : SplitRing::check_position(size, position);
  }
  // max_size: what the device offers, at most kMaxQueueSize.  Fails with what the driver did wrong.
  // `memory` outlives the queue.
  static Result<Queue> activate(const QueueConfig& config, uint16_t max_size, QueueFeatures features,
                                QueuePosition position, const memory::GuestMemory& memory);

  uint16_t size() const { return config_.size; }
  // What it was made from.
  const QueueConfig& config() const { return config_; }
  QueuePosition position() const {
    return std::visit([](const auto& ring) { return ring.position(); }, ring_);
  }

  // Takes the next chain; false if the driver has offered none.
  RingResult<bool> pop(DescriptorChain& chain) {
    return std::visit([&](auto& ring) { return ring.pop(chain); }, ring_);
  }
  // The same; if there is none, the driver was asked to kick when it offers more.
  RingResult<bool> pop_or_enable_kicks(DescriptorChain& chain);
  // Gives back the chain that was popped last, of those not given back.  Neither it nor one that was popped
  // later may have been pushed.
  void unpop(const DescriptorChain& chain) {
    std::visit([&](auto& ring) { ring.unpop(chain); }, ring_);
  }
  // Returns a chain with `written` bytes in its writable buffers; not visible before publish_used().
  void push_used(const DescriptorChain& chain, uint32_t written) {
    std::visit([&](auto& ring) { ring.push_used(chain, written); }, ring_);
  }
  // The first `bytes` bytes of the chain's writable buffers have been written.
  void note_written(const DescriptorChain& chain, uint64_t bytes) const { virtio::note_written(memory_, chain, bytes); }
  // Makes what was pushed visible.  True if the driver wants an interrupt for it.
  [[nodiscard]] bool publish_used() {
    return std::visit([](auto& ring) { return ring.publish_used(); }, ring_);
  }

  // After pop() has found none: asks the driver to kick when it offers more.  True if it has meanwhile:
  // then no kick will come for those, so look again.
  [[nodiscard]] RingResult<bool> enable_kicks() {
    return std::visit([](auto& ring) { return ring.enable_kicks(); }, ring_);
  }
  // Kicks may still come; they are only not asked for.
  void disable_kicks() {
    std::visit([](auto& ring) { ring.disable_kicks(); }, ring_);
  }

 private:
  template <class Ring>
  Queue(const memory::GuestMemory& memory, const QueueConfig& config, Ring ring)
      : memory_(memory), config_(config), ring_(std::move(ring)) {}

  const memory::GuestMemory& memory_;
  QueueConfig config_;
  std::variant<SplitRing, PackedRing> ring_;
};

}  // namespace pagurus::virtio
