// One chain of buffers that a driver has offered, whatever the layout of its ring, and the checks of
// every descriptor.
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <span>
#include <vector>

#include "memory/guest_memory.h"
#include "virtio/ring.h"

namespace pagurus::virtio {

// Checked: all in RAM, the readable buffers first.  Refilled by each Queue::pop() so that a busy queue
// does not allocate.
class DescriptorChain {
 public:
  // What the driver calls it: split, the index of its head; packed, the buffer id.
  uint16_t id() const { return id_; }
  // What the device reads, then what it writes.
  std::span<iovec> readable() { return std::span(buffers_).first(readable_count_); }
  std::span<iovec> writable() { return std::span(buffers_).subspan(readable_count_); }
  std::span<const iovec> writable() const { return std::span(buffers_).subspan(readable_count_); }
  uint64_t readable_bytes() const { return readable_bytes_; }
  uint64_t writable_bytes() const { return writable_bytes_; }

 private:
  friend class SplitRing;
  friend class PackedRing;

  // What one descriptor says, without what ties it to others.
  struct Buffer {
    uint64_t address;
    uint32_t length;
    uint16_t flags;
  };
  void clear();
  // `most`: the queue's size, which no chain may exceed (virtio 1.2, 2.7.5.3.1 and 2.8.19).
  RingResult<void> add(const memory::GuestMemory& memory, uint16_t most, const Buffer& buffer);

  uint16_t id_ = 0;
  uint16_t slots_ = 0;  // packed: how many descriptors of the ring it takes
  size_t readable_count_ = 0;
  uint64_t readable_bytes_ = 0;
  uint64_t writable_bytes_ = 0;
  std::vector<iovec> buffers_;
};

// The host address of an indirect table, checked (virtio 1.2, 2.7.5.3 and 2.8.7).
RingResult<const uint8_t*> indirect_table(const memory::GuestMemory& memory, uint64_t address, uint32_t length);

// Notes in the dirty log that the first `bytes` bytes of the chain's writable buffers have been written.
void note_written(const memory::GuestMemory& memory, const DescriptorChain& chain, uint64_t bytes);

inline void DescriptorChain::clear() {
  readable_count_ = 0;
  readable_bytes_ = 0;
  writable_bytes_ = 0;
  buffers_.clear();
}

inline RingResult<void> DescriptorChain::add(const memory::GuestMemory& memory, uint16_t most, const Buffer& buffer) {
  if (buffers_.size() >= most) return broken("a chain longer than its queue");
  uint8_t* host = memory.slice({buffer.address}, buffer.length);
  if (host == nullptr) return broken("a buffer that is empty or outside RAM");
  bool writable = (buffer.flags & kDescWrite) != 0;
  if (!writable && readable_count_ != buffers_.size()) return broken("a readable buffer behind a writable one");
  uint64_t& bytes = writable ? writable_bytes_ : readable_bytes_;
  bytes += buffer.length;
  // virtio 1.2, 2.7.5: no chain is longer than 2^32 bytes; a used length could not express it.
  if (readable_bytes_ + writable_bytes_ > UINT32_MAX) return broken("a chain of more than 4 GiB");
  if (!writable) ++readable_count_;
  buffers_.push_back({.iov_base = host, .iov_len = buffer.length});
  return {};
}

}  // namespace pagurus::virtio
