// The driver's side of one virtqueue, whatever its layout, so that a test reads like what the driver does:
//
//   auto ring = make_ring(Layout::kPacked, memory, {0x10000}, 8);  // make_ring.h
//   ring->offer({{.address = 0x20000, .length = 64}, {.address = 0x21000, .length = 64, .writable = true}});
//   ... the device serves ring->config() ...
//   EXPECT_EQ(ring->take_used()[0].length, 64);
//
// It trusts the test not to offer more than the ring holds.
#pragma once

#include <cstdint>
#include <functional>
#include <ostream>
#include <vector>

#include "memory/guest_memory.h"
#include "virtio/queue.h"

namespace pagurus::virtio::testing {

enum class Layout { kSplit, kPacked };
inline std::ostream& operator<<(std::ostream& out, Layout layout) {
  return out << (layout == Layout::kSplit ? "split" : "packed");
}

struct Buffer {
  uint64_t address;
  uint32_t length;
  bool writable = false;
};

class DriverRing {
 public:
  // One that is at least 0 and less than its argument.
  using Random = std::function<uint64_t(uint64_t)>;

  virtual ~DriverRing() = default;
  // As a driver begins after a reset: an empty ring.
  void restart() { restart_at(Queue::first_position({.packed = layout() == Layout::kPacked})); }
  // As an empty ring is after some use; both positions are the same.
  virtual void restart_at(QueuePosition position) = 0;

  virtual Layout layout() const = 0;
  virtual QueueConfig config() const = 0;

  // Returns what the device calls the chain.
  virtual uint16_t offer(const std::vector<Buffer>& buffers) = 0;
  // Descriptors as `descriptor` makes them, and some of them offered, or what looks like that.
  virtual void offer_garbage(const std::function<Descriptor()>& descriptor, const Random& any) = 0;
  // How many chains were offered and came back, since the restart, modulo 2^16; split: since a position 0.
  virtual uint16_t avail() const = 0;
  virtual uint16_t used() = 0;
  // What the device has returned since the last call.
  virtual std::vector<UsedElement> take_used() = 0;

  // Whether the device asked for a kick for the chain that was offered last.
  virtual bool kick_wanted(QueueFeatures features) = 0;
  virtual void forbid_interrupts() = 0;
  // With events: an interrupt when the chain comes back before which there are `ahead` others that the driver
  // has not seen; chains of one descriptor.
  virtual void interrupt_at(int ahead) = 0;
};

}  // namespace pagurus::virtio::testing
