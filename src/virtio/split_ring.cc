#include "virtio/split_ring.h"

#include <bit>

namespace pagurus::virtio {

Result<void> SplitRing::check_position(uint16_t size, QueuePosition position) {
  auto in_flight = static_cast<uint16_t>(position.avail - position.used);
  if (in_flight > size) return fail("{} chains in flight in a queue of {}", in_flight, size);
  return {};
}

Result<SplitRing> SplitRing::activate(const QueueConfig& config, QueueFeatures features, QueuePosition position,
                                      const memory::GuestMemory& memory) {
  if (!std::has_single_bit(config.size)) return fail("the queue size {} is not a power of two", config.size);
  TRY(check_position(config.size, position));
  Areas areas{
      .descriptors =
          TRY(ring_area(memory, "descriptor table", config.descriptors, descriptor_table_bytes(config.size), 16)),
      .avail = TRY(ring_area(memory, "available ring", config.avail, avail_ring_bytes(config.size), 2)),
      .used = TRY(ring_area(memory, "used ring", config.used, used_ring_bytes(config.size), 4)),
  };
  return SplitRing(memory, areas, config.size, features, position);
}

SplitRing::SplitRing(const memory::GuestMemory& memory, Areas areas, uint16_t size, QueueFeatures features,
                     QueuePosition position)
    : memory_(memory),
      areas_(areas),
      size_(size),
      features_(features),
      seen_avail_(position.avail),
      position_(position) {}

// Reads the driver's idx.  A driver cannot have offered more chains than there are descriptors that
// we do not hold.
RingResult<uint16_t> SplitRing::look_at_avail() {
  uint16_t index = ring_field(areas_.avail + 2).load(std::memory_order_seq_cst);
  uint16_t returned = static_cast<uint16_t>(position().used + pushed_);
  uint16_t outstanding = static_cast<uint16_t>(index - returned);
  uint16_t in_flight = static_cast<uint16_t>(position().avail - returned);
  if (outstanding > size_ || outstanding < in_flight) return broken("the available index is impossible");
  seen_avail_ = index;
  return index;
}

RingResult<bool> SplitRing::pop(DescriptorChain& chain) {
  QueuePosition at = position();
  if (at.avail == seen_avail_) {
    auto index = look_at_avail();
    if (!index) return std::unexpected(index.error());
    if (*index == at.avail) return false;
  }
  uint8_t* entry = areas_.avail + kRingHeaderBytes + 2 * (at.avail & (size_ - 1));
  uint16_t head = ring_field(entry).load(std::memory_order_relaxed);
  chain.clear();
  chain.id_ = head;
  auto read = walk(areas_.descriptors, size_, head, chain);
  if (!read) return std::unexpected(read.error());
  ++at.avail;
  position_ = at;
  return true;
}

RingResult<void> SplitRing::walk(const uint8_t* table, uint32_t entries, uint16_t first, DescriptorChain& chain) const {
  bool indirect = table != areas_.descriptors;
  uint32_t index = first;
  // A chain longer than the queue is forbidden (virtio 1.2, 2.7.5.3.1) and would be a loop.
  for (uint32_t steps = 0; steps < size_; ++steps) {
    if (index >= entries) return broken("a descriptor's index is beyond its table");
    auto descriptor = copy_once<Descriptor>(table + 16 * index);
    if ((descriptor.flags & kDescIndirect) != 0) {
      // virtio 1.2, 2.7.5.3.1
      if (indirect) return broken("an indirect table inside an indirect table");
      if (!features_.indirect) return broken("an indirect table that was not negotiated");
      if ((descriptor.flags & kDescNext) != 0) return broken("an indirect descriptor that has a next one");
      return walk_indirect(descriptor, chain);
    }
    auto added = chain.add(memory_, size_, {descriptor.address, descriptor.length, descriptor.flags});
    if (!added) return added;
    if ((descriptor.flags & kDescNext) == 0) return {};
    index = descriptor.next;
  }
  return broken("a chain longer than its queue");
}

RingResult<void> SplitRing::walk_indirect(const Descriptor& table, DescriptorChain& chain) const {
  const uint8_t* host = TRY(indirect_table(memory_, table.address, table.length));
  return walk(host, table.length / sizeof(Descriptor), 0, chain);
}

void SplitRing::unpop(const DescriptorChain&) {
  QueuePosition at = position();
  CHECK(static_cast<uint16_t>(at.avail - at.used) > pushed_, "only a chain in flight can be given back");
  --at.avail;
  position_ = at;
}

void SplitRing::store(uint8_t* field, uint16_t value, std::memory_order order) const {
  ring_field(field).store(value, order);
  memory_.note_written(field, sizeof value);
}

void SplitRing::push_used(const DescriptorChain& chain, uint32_t written) {
  QueuePosition at = position();
  CHECK(static_cast<uint16_t>(at.avail - at.used) > pushed_, "a chain is pushed once, after it was popped");
  uint16_t index = static_cast<uint16_t>(at.used + pushed_);
  UsedElement element{.id = chain.id(), .length = written};
  uint8_t* entry = areas_.used + kRingHeaderBytes + 8 * (index & (size_ - 1));
  std::memcpy(entry, &element, sizeof element);
  memory_.note_written(entry, sizeof element);
  note_written(memory_, chain, written);
  ++pushed_;
}

bool SplitRing::publish_used() {
  if (pushed_ == 0) return false;
  QueuePosition at = position();
  uint16_t before = at.used;
  at.used = static_cast<uint16_t>(at.used + pushed_);
  pushed_ = 0;
  // Sequentially consistent, against the driver that sets its event and then reads our idx: one of
  // the two sees the other (virtio 1.2, 2.7.7.2 and 2.7.10).
  store(areas_.used + 2, at.used, std::memory_order_seq_cst);
  position_ = at;
  if (features_.event_idx) return event_passed(used_event().load(std::memory_order_seq_cst), at.used, before);
  return (ring_field(areas_.avail).load(std::memory_order_seq_cst) & kAvailNoInterrupt) == 0;
}

RingResult<bool> SplitRing::enable_kicks() {
  uint16_t seen = seen_avail_;
  if (features_.event_idx) {
    store(avail_event(), seen, std::memory_order_seq_cst);
  } else {
    store(areas_.used, 0, std::memory_order_seq_cst);
  }
  // The driver may have offered chains before it could see that.
  auto index = look_at_avail();
  if (!index) return std::unexpected(index.error());
  return *index != seen;
}

void SplitRing::disable_kicks() {
  // With events, an idx that stays behind is passed only once in 2^16 chains.
  if (!features_.event_idx) store(areas_.used, kUsedNoNotify, std::memory_order_relaxed);
}

}  // namespace pagurus::virtio
