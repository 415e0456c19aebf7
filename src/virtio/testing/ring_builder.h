// The driver's side of a split virtqueue; also for what no driver may do.
#pragma once

#include <cstdint>
#include <vector>

#include "virtio/testing/driver_ring.h"

namespace pagurus::virtio::testing {

class RingBuilder final : public DriverRing {
 public:
  RingBuilder(const memory::GuestMemory& memory, memory::GuestAddress base, uint16_t size)
      : memory_(memory), base_(base), size_(size) {
    restart();
  }
  void restart_at(QueuePosition position) override {
    memory_.write(base_, std::vector<uint8_t>(0x8000 + used_ring_bytes(size_)));
    free_ = 0;
    avail_ = position.avail;
    seen_used_ = position.used;
    memory_.write_value(avail_at() + 2, avail_);
    memory_.write_value(used_at() + 2, seen_used_);
  }

  Layout layout() const override { return Layout::kSplit; }
  QueueConfig config() const override {
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
  uint16_t offer(const std::vector<Buffer>& buffers) override {
    uint16_t head = chain(buffers);
    offer_head(head);
    return head;
  }
  void offer_garbage(const std::function<Descriptor()>& descriptor, const Random& any) override {
    for (uint16_t i = 0; i < size_; ++i) {
      set_descriptor(i, descriptor());
      memory_.write_value(avail_at() + 4 + uint64_t{2} * i, static_cast<uint16_t>(any(size_ + 1u)));
    }
    set_avail(static_cast<uint16_t>(any(16) == 0 ? any(0x10000) : any(size_ + 2u)));
  }
  void set_avail(uint16_t index) {
    avail_ = index;
    ring_field(host(avail_at() + 2)).store(index, std::memory_order_release);
  }
  uint16_t avail() const override { return avail_; }

  std::vector<UsedElement> take_used() override {
    std::vector<UsedElement> result;
    for (uint16_t now = used(); seen_used_ != now; ++seen_used_) {
      result.push_back(*memory_.read_value<UsedElement>(used_at() + 4 + 8 * (seen_used_ % size_)));
    }
    return result;
  }
  uint16_t used() override { return ring_field(host(used_at() + 2)).load(std::memory_order_acquire); }
  uint16_t used_flags() const { return ring_field(host(used_at())).load(); }
  uint16_t avail_event() const { return ring_field(host(used_at() + 4 + 8 * size_)).load(); }

  bool kick_wanted(QueueFeatures features) override {
    return features.event_idx ? avail_event() == static_cast<uint16_t>(avail_ - 1) : used_flags() == 0;
  }
  void forbid_interrupts() override { ring_field(host(avail_at())).store(kAvailNoInterrupt); }
  void interrupt_at(int ahead) override {
    ring_field(host(avail_at() + 4 + 2 * size_)).store(static_cast<uint16_t>(used() + ahead));
  }

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
