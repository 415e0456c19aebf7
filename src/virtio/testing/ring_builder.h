// The driver's side of one split virtqueue, so that a test reads like what the driver does:
//
//   RingBuilder ring(memory, {0x10000}, 8);
//   ring.offer({{.address = 0x20000, .length = 64}, {.address = 0x21000, .length = 64, .writable = true}});
//   ... the device serves ring.config() ...
//   EXPECT_EQ(ring.take_used()[0].length, 64);
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "memory/guest_memory.h"
#include "virtio/queue.h"

namespace pagurus::virtio::testing {

struct Buffer {
  uint64_t address;
  uint32_t length;
  bool writable = false;
};

class RingBuilder {
 public:
  RingBuilder(const memory::GuestMemory& memory, memory::GuestAddress base, uint16_t size)
      : memory_(memory), base_(base), size_(size) {
    restart();
  }
  // As a driver begins after a reset: empty rings.
  void restart() {
    memory_.write(base_, std::vector<uint8_t>(0x8000 + used_ring_bytes(size_)));
    free_ = avail_ = seen_used_ = 0;
  }

  QueueConfig config() const {
    return {.size = size_, .enabled = true, .descriptors = base_, .avail = avail_at(), .used = used_at()};
  }
  memory::GuestAddress avail_at() const { return base_ + 0x4000; }
  memory::GuestAddress used_at() const { return base_ + 0x8000; }

  void set_descriptor(uint16_t index, const Descriptor& descriptor) {
    memory_.write_value(base_ + uint64_t{16} * index, descriptor);
  }
  // Writes a chain into the next free descriptors and returns its head, without offering it.
  uint16_t chain(const std::vector<Buffer>& buffers) {
    uint16_t head = free_;
    for (size_t i = 0; i < buffers.size(); ++i) {
      uint16_t next = static_cast<uint16_t>((free_ + 1) % size_);
      bool last = i + 1 == buffers.size();
      set_descriptor(free_,
                     {.address = buffers[i].address,
                      .length = buffers[i].length,
                      .flags = static_cast<uint16_t>((buffers[i].writable ? kDescWrite : 0) | (last ? 0 : kDescNext)),
                      .next = last ? uint16_t{0} : next});
      free_ = next;
    }
    return head;
  }
  void offer_head(uint16_t head) {
    memory_.write_value(avail_at() + 4 + 2 * (avail_ % size_), head);
    set_avail(static_cast<uint16_t>(avail_ + 1));
  }
  uint16_t offer(const std::vector<Buffer>& buffers) {
    uint16_t head = chain(buffers);
    offer_head(head);
    return head;
  }
  void set_avail(uint16_t index) {
    avail_ = index;
    ring_field(host(avail_at() + 2)).store(index, std::memory_order_release);
  }
  uint16_t avail() const { return avail_; }

  // What the device has returned since the last call.
  std::vector<UsedElement> take_used() {
    std::vector<UsedElement> result;
    for (uint16_t now = used(); seen_used_ != now; ++seen_used_) {
      result.push_back(*memory_.read_value<UsedElement>(used_at() + 4 + 8 * (seen_used_ % size_)));
    }
    return result;
  }
  uint16_t used() const { return ring_field(host(used_at() + 2)).load(std::memory_order_acquire); }
  uint16_t used_flags() const { return ring_field(host(used_at())).load(); }
  uint16_t avail_event() const { return ring_field(host(used_at() + 4 + 8 * size_)).load(); }
  void set_avail_flags(uint16_t flags) { ring_field(host(avail_at())).store(flags); }
  void set_used_event(uint16_t event) { ring_field(host(avail_at() + 4 + 2 * size_)).store(event); }

 private:
  uint8_t* host(memory::GuestAddress at) const { return memory_.slice(at, 2); }

  const memory::GuestMemory& memory_;
  memory::GuestAddress base_;
  uint16_t size_;
  uint16_t free_ = 0;
  uint16_t avail_ = 0;
  uint16_t seen_used_ = 0;
};

}  // namespace pagurus::virtio::testing
