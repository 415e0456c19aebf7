#include "virtio/queue.h"

#include <algorithm>
#include <bit>

namespace pagurus::virtio {
namespace {

uint32_t pack(QueuePosition position) { return uint32_t{position.avail} << 16 | position.used; }

QueuePosition unpack(uint32_t word) {
  return {.avail = static_cast<uint16_t>(word >> 16), .used = static_cast<uint16_t>(word)};
}

// The host address of one area of a queue, checked for alignment (virtio 1.2, 2.7) and RAM.
Result<uint8_t*> area(const memory::GuestMemory& memory, const char* what, memory::GuestAddress base, uint64_t bytes,
                      uint64_t alignment) {
  if (base.value % alignment != 0) return fail("the {} at {:#x} is not aligned to {}", what, base.value, alignment);
  uint8_t* host = memory.slice(base, bytes);
  if (host == nullptr) return fail("the {} at {:#x} is not in RAM", what, base.value);
  return host;
}

}  // namespace

Result<Queue> Queue::activate(const QueueConfig& config, uint16_t max_size, QueueFeatures features,
                              QueuePosition position, const memory::GuestMemory& memory) {
  if (!std::has_single_bit(config.size) || config.size > max_size) {
    return fail("the queue size {} is not a power of two of at most {}", config.size, max_size);
  }
  if (static_cast<uint16_t>(position.avail - position.used) > config.size) {
    return fail("{} chains in flight in a queue of {}", static_cast<uint16_t>(position.avail - position.used),
                config.size);
  }
  Rings rings{
      .descriptors = TRY(area(memory, "descriptor table", config.descriptors, descriptor_table_bytes(config.size), 16)),
      .avail = TRY(area(memory, "available ring", config.avail, avail_ring_bytes(config.size), 2)),
      .used = TRY(area(memory, "used ring", config.used, used_ring_bytes(config.size), 4)),
  };
  return Queue(memory, rings, config.size, features, position);
}

Queue::Queue(const memory::GuestMemory& memory, Rings rings, uint16_t size, QueueFeatures features,
             QueuePosition position)
    : memory_(memory),
      rings_(rings),
      size_(size),
      features_(features),
      seen_avail_(position.avail),
      position_(pack(position)) {}

Queue::Queue(Queue&& other) noexcept
    : memory_(other.memory_),
      rings_(other.rings_),
      size_(other.size_),
      features_(other.features_),
      seen_avail_(other.seen_avail_),
      pushed_(other.pushed_),
      position_(other.position_.load(std::memory_order_relaxed)) {}

QueuePosition Queue::position() const { return unpack(position_.load(std::memory_order_relaxed)); }

void Queue::set_position(QueuePosition position) { position_.store(pack(position), std::memory_order_relaxed); }

// Reads the driver's idx.  A driver cannot have offered more chains than there are descriptors that
// we do not hold.
RingResult<uint16_t> Queue::look_at_avail() {
  uint16_t index = ring_field(rings_.avail + 2).load(std::memory_order_seq_cst);
  uint16_t returned = static_cast<uint16_t>(position().used + pushed_);
  uint16_t outstanding = static_cast<uint16_t>(index - returned);
  uint16_t in_flight = static_cast<uint16_t>(position().avail - returned);
  if (outstanding > size_ || outstanding < in_flight) return broken("the available index is impossible");
  seen_avail_ = index;
  return index;
}

RingResult<bool> Queue::pop(DescriptorChain& chain) {
  QueuePosition at = position();
  if (at.avail == seen_avail_) {
    auto index = look_at_avail();
    if (!index) return std::unexpected(index.error());
    if (*index == at.avail) return false;
  }
  uint8_t* entry = rings_.avail + kRingHeaderBytes + 2 * (at.avail & (size_ - 1));
  uint16_t head = ring_field(entry).load(std::memory_order_relaxed);
  chain.head_ = head;
  chain.readable_count_ = 0;
  chain.readable_bytes_ = 0;
  chain.writable_bytes_ = 0;
  chain.buffers_.clear();
  auto read = walk(rings_.descriptors, size_, head, chain);
  if (!read) return std::unexpected(read.error());
  ++at.avail;
  set_position(at);
  return true;
}

RingResult<void> Queue::walk(const uint8_t* table, uint32_t entries, uint16_t first, DescriptorChain& chain) const {
  bool indirect_table = table != rings_.descriptors;
  uint32_t index = first;
  // A chain longer than the queue is forbidden (virtio 1.2, 2.7.5.3.1) and would be a loop.
  for (uint32_t steps = 0; steps < size_; ++steps) {
    if (index >= entries) return broken("a descriptor's index is beyond its table");
    auto descriptor = copy_once<Descriptor>(table + 16 * index);
    if ((descriptor.flags & kDescIndirect) != 0) {
      // virtio 1.2, 2.7.5.3.1
      if (indirect_table) return broken("an indirect table inside an indirect table");
      if (!features_.indirect) return broken("an indirect table that was not negotiated");
      if ((descriptor.flags & kDescNext) != 0) return broken("an indirect descriptor that has a next one");
      return walk_indirect(descriptor, chain);
    }
    auto added = add_buffer(descriptor, chain);
    if (!added) return added;
    if ((descriptor.flags & kDescNext) == 0) return {};
    index = descriptor.next;
  }
  return broken("a chain longer than its queue");
}

RingResult<void> Queue::walk_indirect(const Descriptor& table, DescriptorChain& chain) const {
  if (table.length == 0 || table.length % sizeof(Descriptor) != 0) {
    return broken("an indirect table that is not a whole number of descriptors");
  }
  const uint8_t* host = memory_.slice({table.address}, table.length);
  if (host == nullptr) return broken("an indirect table outside RAM");
  return walk(host, table.length / sizeof(Descriptor), 0, chain);
}

RingResult<void> Queue::add_buffer(const Descriptor& descriptor, DescriptorChain& chain) const {
  if (chain.buffers_.size() >= size_) return broken("a chain longer than its queue");
  uint8_t* host = memory_.slice({descriptor.address}, descriptor.length);
  if (host == nullptr) return broken("a buffer that is empty or outside RAM");
  bool writable = (descriptor.flags & kDescWrite) != 0;
  if (!writable && chain.readable_count_ != chain.buffers_.size()) {
    return broken("a readable buffer behind a writable one");
  }
  uint64_t& bytes = writable ? chain.writable_bytes_ : chain.readable_bytes_;
  bytes += descriptor.length;
  // virtio 1.2, 2.7.5: no chain is longer than 2^32 bytes; a used length could not express it.
  if (chain.readable_bytes_ + chain.writable_bytes_ > UINT32_MAX) return broken("a chain of more than 4 GiB");
  if (!writable) ++chain.readable_count_;
  chain.buffers_.push_back({.iov_base = host, .iov_len = descriptor.length});
  return {};
}

void Queue::unpop(uint16_t count) {
  QueuePosition at = position();
  uint16_t in_flight = static_cast<uint16_t>(at.avail - at.used - pushed_);
  CHECK(count <= in_flight, "only chains in flight can be given back");
  at.avail = static_cast<uint16_t>(at.avail - count);
  set_position(at);
}

void Queue::note_written(const DescriptorChain& chain, uint64_t bytes) const {
  for (const iovec& buffer : chain.writable()) {
    if (bytes == 0) return;
    uint64_t part = std::min<uint64_t>(bytes, buffer.iov_len);
    memory_.note_written(buffer.iov_base, part);
    bytes -= part;
  }
}

void Queue::store(uint8_t* field, uint16_t value, std::memory_order order) const {
  ring_field(field).store(value, order);
  memory_.note_written(field, sizeof value);
}

void Queue::push_used(const DescriptorChain& chain, uint32_t written) {
  QueuePosition at = position();
  CHECK(static_cast<uint16_t>(at.avail - at.used) > pushed_, "a chain is pushed once, after it was popped");
  uint16_t index = static_cast<uint16_t>(at.used + pushed_);
  UsedElement element{.id = chain.head(), .length = written};
  uint8_t* entry = rings_.used + kRingHeaderBytes + 8 * (index & (size_ - 1));
  std::memcpy(entry, &element, sizeof element);
  memory_.note_written(entry, sizeof element);
  note_written(chain, written);
  ++pushed_;
}

bool Queue::publish_used() {
  if (pushed_ == 0) return false;
  QueuePosition at = position();
  uint16_t before = at.used;
  at.used = static_cast<uint16_t>(at.used + pushed_);
  pushed_ = 0;
  // Sequentially consistent, against the driver that sets its event and then reads our idx: one of
  // the two sees the other (virtio 1.2, 2.7.7.2 and 2.7.10).
  store(rings_.used + 2, at.used, std::memory_order_seq_cst);
  set_position(at);
  if (features_.event_idx) return event_passed(used_event().load(std::memory_order_seq_cst), at.used, before);
  return (ring_field(rings_.avail).load(std::memory_order_seq_cst) & kAvailNoInterrupt) == 0;
}

RingResult<bool> Queue::enable_kicks() {
  uint16_t seen = seen_avail_;
  if (features_.event_idx) {
    store(avail_event(), seen, std::memory_order_seq_cst);
  } else {
    store(rings_.used, 0, std::memory_order_seq_cst);
  }
  // The driver may have offered chains before it could see that.
  auto index = look_at_avail();
  if (!index) return std::unexpected(index.error());
  return *index != seen;
}

void Queue::disable_kicks() {
  // With events, an idx that stays behind is passed only once in 2^16 chains.
  if (!features_.event_idx) store(rings_.used, kUsedNoNotify, std::memory_order_relaxed);
}

}  // namespace pagurus::virtio
