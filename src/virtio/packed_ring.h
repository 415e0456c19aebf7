// A packed virtqueue (virtio 1.2, 2.8), from the device's side: one of the two layouts behind Queue (queue.h).
//
// A queue of `size` entries, any number, is one ring that both sides write, and a word for each of them:
//
//   ring            size x {address, length, id, flags}: the driver offers buffers here, chained by lying
//                   behind each other, and we write into the same entries which ones come back
//   driver's event  position, flags: at which used entry the driver wants an interrupt
//   device's event  the same: at which offered entry we want a kick
//
// Each side goes round the ring and counts its rounds, modulo 2: its wrap counter, 1 at first.  An entry is
// offered if its AVAIL flag is the driver's counter and its USED flag is not; used if both are the device's.
// A chain that comes back is one used entry at the place where we are; behind it we skip as many entries as
// the chain had.
//
// A position is an index in the ring, and the wrap counter in bit 15.
#pragma once

#include <cstdint>

#include "virtio/descriptor_chain.h"
#include "virtio/queue_config.h"
#include "virtio/ring.h"

namespace pagurus::virtio {

inline constexpr uint16_t kPackedAvail = 1 << 7;
inline constexpr uint16_t kPackedUsed = 1 << 15;
inline constexpr uint16_t kPackedWrap = 1 << 15;  // in a position

struct PackedDescriptor {
  uint64_t address;
  uint32_t length;
  uint16_t id;
  uint16_t flags;
};
static_assert(sizeof(PackedDescriptor) == 16);

// virtio 1.2, 2.8.14.
enum class PackedEventFlags : uint16_t { kEnable = 0, kDisable = 1, kPosition = 2 };
struct PackedEvent {
  uint16_t position;  // means something with kPosition only
  uint16_t flags;
};
static_assert(sizeof(PackedEvent) == 4);

// As Queue has it.
class PackedRing {
 public:
  static constexpr QueuePosition kFirstPosition{.avail = kPackedWrap, .used = kPackedWrap};

  static Result<void> check_position(uint16_t size, QueuePosition position);
  static Result<PackedRing> activate(const QueueConfig& config, QueueFeatures features, QueuePosition position,
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
    uint8_t* ring;
    uint8_t* driver_event;
    uint8_t* device_event;
  };
  PackedRing(const memory::GuestMemory& memory, Areas areas, uint16_t size, QueueFeatures features,
             QueuePosition position);

  uint8_t* entry(uint16_t position) const;
  uint8_t* flags_of(uint16_t position) const;
  uint16_t ahead(uint16_t position, uint16_t entries) const;
  uint16_t held() const;
  RingResult<void> walk(uint16_t first, uint16_t most, DescriptorChain& chain) const;
  RingResult<void> walk_indirect(const PackedDescriptor& table, DescriptorChain& chain) const;
  void set_device_event(PackedEvent event, std::memory_order order) const;

  const memory::GuestMemory& memory_;
  Areas areas_;
  uint16_t size_;
  QueueFeatures features_;
  bool offered_ = false;      // enable_kicks() has seen the chain that pop() takes next
  uint16_t pushed_ = 0;       // entries of the chains pushed and not published
  uint16_t first_flags_ = 0;  // of the first of them, which makes them visible
  AtomicPosition position_;
};

}  // namespace pagurus::virtio
