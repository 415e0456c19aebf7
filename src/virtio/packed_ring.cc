#include "virtio/packed_ring.h"

#include <bit>
#include <cstddef>
#include <optional>
#include <utility>

namespace pagurus::virtio {
namespace {

constexpr uint16_t kOwner = kPackedAvail | kPackedUsed;

uint16_t index_of(uint16_t position) { return position & static_cast<uint16_t>(~kPackedWrap); }
bool wrap_of(uint16_t position) { return (position & kPackedWrap) != 0; }

// virtio 1.2, 2.8.1: of the entry at `position`, which the driver reaches with the same wrap counter.
bool offered(uint16_t flags, uint16_t position) {
  bool avail = (flags & kPackedAvail) != 0;
  bool used = (flags & kPackedUsed) != 0;
  return avail == wrap_of(position) && used != avail;
}

// From one position forward to another, if the one can be behind the other.
std::optional<uint16_t> distance(uint16_t from, uint16_t to, uint16_t size) {
  int entries = index_of(to) - index_of(from) + (wrap_of(to) == wrap_of(from) ? 0 : size);
  if (entries < 0 || entries > size) return std::nullopt;
  return static_cast<uint16_t>(entries);
}

}  // namespace

Result<void> PackedRing::check_position(uint16_t size, QueuePosition position) {
  if (index_of(position.avail) >= size || index_of(position.used) >= size) {
    return fail("positions {} and {} in a ring of {}", index_of(position.avail), index_of(position.used), size);
  }
  if (!distance(position.used, position.avail, size)) {
    return fail("position {:#x} is not behind {:#x} in a ring of {}", position.avail, position.used, size);
  }
  return {};
}

Result<PackedRing> PackedRing::activate(const QueueConfig& config, QueueFeatures features, QueuePosition position,
                                        const memory::GuestMemory& memory) {
  TRY(check_position(config.size, position));
  Areas areas{
      .ring = TRY(ring_area(memory, "descriptor ring", config.descriptors,
                            sizeof(PackedDescriptor) * uint64_t{config.size}, 16)),
      .driver_event = TRY(ring_area(memory, "driver's event", config.avail, sizeof(PackedEvent), 4)),
      .device_event = TRY(ring_area(memory, "device's event", config.used, sizeof(PackedEvent), 4)),
  };
  return PackedRing(memory, areas, config.size, features, position);
}

PackedRing::PackedRing(const memory::GuestMemory& memory, Areas areas, uint16_t size, QueueFeatures features,
                       QueuePosition position)
    : memory_(memory), areas_(areas), size_(size), features_(features), position_(position) {}

uint8_t* PackedRing::entry(uint16_t position) const {
  return areas_.ring + sizeof(PackedDescriptor) * index_of(position);
}

uint8_t* PackedRing::flags_of(uint16_t position) const { return entry(position) + offsetof(PackedDescriptor, flags); }

// `entries`: at most the ring's size.
uint16_t PackedRing::ahead(uint16_t position, uint16_t entries) const {
  unsigned index = unsigned{index_of(position)} + entries;
  uint16_t wrap = position & kPackedWrap;
  if (index >= size_) {
    index -= size_;
    wrap ^= kPackedWrap;
  }
  return static_cast<uint16_t>(index | wrap);
}

// Entries popped and not published.
uint16_t PackedRing::held() const {
  QueuePosition at = position();
  auto entries = distance(at.used, at.avail, size_);
  CHECK(entries, "the positions of a queue are at most a round apart");
  return *entries;
}

RingResult<bool> PackedRing::pop(DescriptorChain& chain) {
  QueuePosition at = position();
  // The driver wrote the rest of the chain before the flags of its first entry (virtio 1.2, 2.8.21.2).
  if (!offered(ring_field(flags_of(at.avail)).load(std::memory_order_acquire), at.avail)) {
    if (offered_) return broken("a chain that was offered is offered no more");
    return false;
  }
  chain.clear();
  // The driver can have offered only what it has seen come back.
  auto read = walk(at.avail, static_cast<uint16_t>(size_ - held()), chain);
  if (!read) return std::unexpected(read.error());
  offered_ = false;
  at.avail = ahead(at.avail, chain.slots_);
  position_ = at;
  return true;
}

// `most`: the entries that can be the driver's.
RingResult<void> PackedRing::walk(uint16_t first, uint16_t most, DescriptorChain& chain) const {
  uint16_t at = first;
  for (uint16_t slots = 1; slots <= most; ++slots) {
    auto descriptor = copy_once<PackedDescriptor>(entry(at));
    if (slots != 1 && !offered(descriptor.flags, at)) return broken("a chain that goes on where nothing is offered");
    chain.slots_ = slots;
    // In the last entry of a chain (virtio 1.2, 2.8.6).  It is the driver's, and goes back to it as it is.
    chain.id_ = descriptor.id;
    if ((descriptor.flags & kDescIndirect) != 0) {
      // virtio 1.2, 2.8.19
      if (!features_.indirect) return broken("an indirect table that was not negotiated");
      if (slots != 1 || (descriptor.flags & kDescNext) != 0) return broken("an indirect descriptor among others");
      return walk_indirect(descriptor, chain);
    }
    auto added = chain.add(memory_, size_, {descriptor.address, descriptor.length, descriptor.flags});
    if (!added) return added;
    if ((descriptor.flags & kDescNext) == 0) return {};
    at = ahead(at, 1);
  }
  return broken("a chain longer than its queue");
}

// The buffers lie behind each other; no flag but kDescWrite means anything (virtio 1.2, 2.8.7).
RingResult<void> PackedRing::walk_indirect(const PackedDescriptor& table, DescriptorChain& chain) const {
  const uint8_t* host = TRY(indirect_table(memory_, table.address, table.length));
  for (uint32_t at = 0; at < table.length; at += sizeof(PackedDescriptor)) {
    auto descriptor = copy_once<PackedDescriptor>(host + at);
    auto added = chain.add(memory_, size_, {descriptor.address, descriptor.length, descriptor.flags});
    if (!added) return added;
  }
  return {};
}

void PackedRing::unpop(const DescriptorChain& chain) {
  CHECK(chain.slots_ <= held() - pushed_, "only a chain in flight can be given back");
  QueuePosition at = position();
  // Back is forward to the same place in the other round.
  at.avail = ahead(at.avail, static_cast<uint16_t>(size_ - chain.slots_)) ^ kPackedWrap;
  position_ = at;
}

void PackedRing::push_used(const DescriptorChain& chain, uint32_t written) {
  CHECK(chain.slots_ <= held() - pushed_, "a chain is pushed once, after it was popped");
  uint16_t at = ahead(position().used, pushed_);
  uint16_t flags = (wrap_of(at) ? kOwner : 0) | (written != 0 ? kDescWrite : 0);
  uint8_t* to = entry(at);
  std::memcpy(to + offsetof(PackedDescriptor, length), &written, sizeof written);
  uint16_t id = chain.id();
  std::memcpy(to + offsetof(PackedDescriptor, id), &id, sizeof id);
  // The driver looks at an entry when it has seen the one before, so all but the first can be written now.
  if (pushed_ == 0) {
    first_flags_ = flags;
  } else {
    ring_field(flags_of(at)).store(flags, std::memory_order_release);
  }
  memory_.note_written(to, sizeof(PackedDescriptor));
  note_written(memory_, chain, written);
  pushed_ = static_cast<uint16_t>(pushed_ + chain.slots_);
}

bool PackedRing::publish_used() {
  if (pushed_ == 0) return false;
  QueuePosition at = position();
  // Sequentially consistent, against the driver that sets its event and then looks at this entry: one of
  // the two sees the other.
  ring_field(flags_of(at.used)).store(first_flags_, std::memory_order_seq_cst);
  memory_.note_written(entry(at.used), sizeof(PackedDescriptor));
  uint16_t pushed = std::exchange(pushed_, 0);
  at.used = ahead(at.used, pushed);
  position_ = at;

  // Both halves are read at once: they belong together.
  uint32_t word = ring_field<uint32_t>(areas_.driver_event).load(std::memory_order_seq_cst);
  auto event = std::bit_cast<PackedEvent>(word);
  if (event.flags == static_cast<uint16_t>(PackedEventFlags::kDisable)) return false;
  if (event.flags != static_cast<uint16_t>(PackedEventFlags::kPosition) || !features_.event_idx) return true;
  // On the scale of our round, an event of the other round lies before its beginning (virtio 1.2, 2.8.10).
  uint16_t now = index_of(at.used);
  uint16_t wanted = index_of(event.position);
  if (wrap_of(event.position) != wrap_of(at.used)) wanted = static_cast<uint16_t>(wanted - size_);
  return event_passed(wanted, now, static_cast<uint16_t>(now - pushed));
}

void PackedRing::set_device_event(PackedEvent event, std::memory_order order) const {
  ring_field<uint32_t>(areas_.device_event).store(std::bit_cast<uint32_t>(event), order);
  memory_.note_written(areas_.device_event, sizeof event);
}

RingResult<bool> PackedRing::enable_kicks() {
  uint16_t next = position().avail;
  auto flags = features_.event_idx ? PackedEventFlags::kPosition : PackedEventFlags::kEnable;
  set_device_event({.position = next, .flags = static_cast<uint16_t>(flags)}, std::memory_order_seq_cst);
  // The driver may have offered chains before it could see that.
  offered_ = offered(ring_field(flags_of(next)).load(std::memory_order_seq_cst), next);
  return offered_;
}

void PackedRing::disable_kicks() {
  set_device_event({.position = 0, .flags = static_cast<uint16_t>(PackedEventFlags::kDisable)},
                   std::memory_order_relaxed);
}

}  // namespace pagurus::virtio
