// A split virtqueue (virtio 1.2, 2.7), from the device's side: one of the two layouts behind Queue (queue.h).
//
// A queue of `size` entries, a power of two, is three areas that the driver allocates:
//
//   descriptor table   size x {address, length, flags, next}: buffers, chained by `next`
//   available ring     flags, idx, ring[size], used_event: the driver offers heads of chains here
//   used ring          flags, idx, ring[size] x {id, length}, avail_event: we give them back here
//
// Both idx count up for ever, modulo 2^16; an entry's place is its number modulo `size`.  used_event
// and avail_event exist with VIRTIO_F_EVENT_IDX: "wake me when idx passes this number".
#pragma once

#include <cstdint>

#include "virtio/descriptor_chain.h"
#include "virtio/queue_config.h"
#include "virtio/ring.h"

namespace pagurus::virtio {

struct Descriptor {
  uint64_t address;
  uint32_t length;
  uint16_t flags;
  uint16_t next;
};
static_assert(sizeof(Descriptor) == 16);

struct UsedElement {
  uint32_t id;
  uint32_t length;
};
static_assert(sizeof(UsedElement) == 8);

inline constexpr uint16_t kAvailNoInterrupt = 1;
inline constexpr uint16_t kUsedNoNotify = 1;
inline constexpr uint64_t kRingHeaderBytes = 4;  // flags and idx

constexpr uint64_t descriptor_table_bytes(uint16_t size) { return uint64_t{16} * size; }
// With the event field, whether or not it is negotiated.
constexpr uint64_t avail_ring_bytes(uint16_t size) { return 6 + uint64_t{2} * size; }
constexpr uint64_t used_ring_bytes(uint16_t size) { return 6 + uint64_t{8} * size; }

// As Queue has it.
class SplitRing {
 public:
  static constexpr QueuePosition kFirstPosition{.avail = 0, .used = 0};

  static Result<void> check_position(uint16_t size, QueuePosition position);
  static Result<SplitRing> activate(const QueueConfig& config, QueueFeatures features, QueuePosition position,
                                    const memory::GuestMemory& memory);

  QueuePosition position() const { return position_; }

  RingResult<bool> pop(DescriptorChain& chain);
  void unpop(const DescriptorChain& chain);
  void push_used(const DescriptorChain& chain, uint32_t written);
  [[nodiscard]] bool publish_used();
  [[nodiscard]] RingResult<bool> enable_kicks();
  void disable_kicks();

 private:
  struct Areas {
    uint8_t* descriptors;
    uint8_t* avail;
    uint8_t* used;
  };
  SplitRing(const memory::GuestMemory& memory, Areas areas, uint16_t size, QueueFeatures features,
            QueuePosition position);

  void store(uint8_t* field, uint16_t value, std::memory_order order) const;
  RingResult<uint16_t> look_at_avail();
  RingResult<void> walk(const uint8_t* table, uint32_t entries, uint16_t first, DescriptorChain& chain) const;
  RingResult<void> walk_indirect(const Descriptor& table, DescriptorChain& chain) const;
  std::atomic_ref<uint16_t> used_event() const { return ring_field(areas_.avail + kRingHeaderBytes + 2 * size_); }
  uint8_t* avail_event() const { return areas_.used + kRingHeaderBytes + 8 * size_; }

  const memory::GuestMemory& memory_;
  Areas areas_;
  uint16_t size_;
  QueueFeatures features_;
  uint16_t seen_avail_;  // the driver's idx when we last looked
  uint16_t pushed_ = 0;  // pushed and not published
  AtomicPosition position_;
};

}  // namespace pagurus::virtio
