// The driver's side of a packed virtqueue; also for what no driver may do.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "virtio/testing/driver_ring.h"

namespace pagurus::virtio::testing {

class PackedRingBuilder final : public DriverRing {
 public:
  // Buffer ids are the driver's business: no index of anything.
  static constexpr uint16_t kFirstId = 0x7a00;

  PackedRingBuilder(const memory::GuestMemory& memory, memory::GuestAddress base, uint16_t size)
      : memory_(memory), base_(base), size_(size), entries_(size) {
    restart();
  }
  void restart_at(QueuePosition position) override {
    next_ = last_ = place_of(position.avail);
    used_ = place_of(position.used);
    offered_ = returned_ = 0;
    fresh_.clear();
    memory_.write(driver_event_at(), std::vector<uint8_t>(2 * sizeof(PackedEvent)));
    // Used in this round, or in the one before.
    for (uint16_t i = 0; i < size_; ++i) {
      bool wrap = i < next_.index ? next_.wrap : !next_.wrap;
      memory_.write_value(base_ + uint64_t{16} * i,
                          PackedDescriptor{.address = 0, .length = 0, .id = 0, .flags = wrap ? kOwner : uint16_t{0}});
    }
  }

  Layout layout() const override { return Layout::kPacked; }
  QueueConfig config() const override {
    return {.size = size_,
            .enabled = true,
            .descriptors = base_,
            .avail = driver_event_at(),
            .used = driver_event_at() + sizeof(PackedEvent)};
  }
  memory::GuestAddress driver_event_at() const { return base_ + 0x8000; }

  PackedDescriptor descriptor(uint16_t index) const {
    return *memory_.read_value<PackedDescriptor>(base_ + uint64_t{16} * index);
  }
  // The flags last, as they may make it visible.
  void set_descriptor(uint16_t index, const PackedDescriptor& descriptor) {
    set_contents(index, descriptor);
    flags_of(index).store(descriptor.flags, std::memory_order_release);
  }
  // Offers descriptors from the next place on as they are, but for what makes them available.
  void offer_descriptors(std::vector<PackedDescriptor> descriptors) {
    last_ = next_;
    for (PackedDescriptor& each : descriptors) {
      each.flags |= next_.wrap ? kPackedAvail : kPackedUsed;
      set_contents(next_.index, each);
      if (&each != &descriptors.front()) flags_of(next_.index).store(each.flags, std::memory_order_relaxed);
      advance(next_, 1);
    }
    // It makes the chain visible.
    flags_of(last_.index).store(descriptors.front().flags, std::memory_order_release);
  }
  uint16_t offer(const std::vector<Buffer>& buffers) override {
    auto number = static_cast<uint16_t>(offered_++ % size_);
    auto id = static_cast<uint16_t>(kFirstId + number);
    entries_[number] = static_cast<uint16_t>(buffers.size());
    std::vector<PackedDescriptor> descriptors;
    for (const Buffer& buffer : buffers) {
      bool last = &buffer == &buffers.back();
      descriptors.push_back(
          {.address = buffer.address,
           .length = buffer.length,
           .id = last ? id : uint16_t{0},
           .flags = static_cast<uint16_t>((buffer.writable ? kDescWrite : 0) | (last ? 0 : kDescNext))});
    }
    offer_descriptors(std::move(descriptors));
    return id;
  }
  void offer_garbage(const std::function<Descriptor()>& descriptor, const Random& any) override {
    for (uint16_t i = size_; i-- > 0;) {
      Descriptor made = descriptor();
      bool offered = any(8) != 0;
      uint16_t owner = offered ? (any(8) == 0 ? kPackedUsed : kPackedAvail) : (any(2) == 0 ? kOwner : uint16_t{0});
      set_descriptor(i, {.address = made.address,
                         .length = made.length,
                         .id = static_cast<uint16_t>(any(0x10000)),
                         .flags = static_cast<uint16_t>(made.flags | owner)});
    }
  }
  uint16_t avail() const override { return offered_; }

  uint16_t used() override {
    collect();
    return returned_;
  }
  std::vector<UsedElement> take_used() override {
    collect();
    return std::exchange(fresh_, {});
  }

  PackedEvent device_event() const { return event(driver_event_at() + sizeof(PackedEvent)); }
  void set_driver_event(PackedEvent wanted) {
    ring_field<uint32_t>(memory_.slice(driver_event_at(), 4)).store(std::bit_cast<uint32_t>(wanted));
  }
  bool kick_wanted(QueueFeatures) override {
    PackedEvent wanted = device_event();
    if (wanted.flags != static_cast<uint16_t>(PackedEventFlags::kPosition)) {
      return wanted.flags == static_cast<uint16_t>(PackedEventFlags::kEnable);
    }
    for (Place at = last_; at != next_; advance(at, 1)) {
      if (at == place_of(wanted.position)) return true;
    }
    return false;
  }
  void forbid_interrupts() override {
    set_driver_event({.position = 0, .flags = static_cast<uint16_t>(PackedEventFlags::kDisable)});
  }
  void interrupt_at(int ahead) override {
    collect();
    Place at = used_;
    advance(at, static_cast<uint16_t>((ahead + 2 * size_) % (2 * size_)));
    set_driver_event({.position = static_cast<uint16_t>(at.index | (at.wrap ? kPackedWrap : 0)),
                      .flags = static_cast<uint16_t>(PackedEventFlags::kPosition)});
  }

 private:
  static constexpr uint16_t kOwner = kPackedAvail | kPackedUsed;

  struct Place {
    uint16_t index;
    bool wrap;
    bool operator==(const Place&) const = default;
  };
  static Place place_of(uint16_t position) {
    return {.index = static_cast<uint16_t>(position & ~kPackedWrap), .wrap = (position & kPackedWrap) != 0};
  }
  void advance(Place& place, uint16_t entries) const {
    for (; entries > 0; --entries) {
      if (++place.index != size_) continue;
      place.index = 0;
      place.wrap = !place.wrap;
    }
  }
  void set_contents(uint16_t index, const PackedDescriptor& descriptor) {
    auto* bytes = reinterpret_cast<const uint8_t*>(&descriptor);
    memory_.write(base_ + uint64_t{16} * index, {bytes, offsetof(PackedDescriptor, flags)});
  }
  std::atomic_ref<uint16_t> flags_of(uint16_t index) const {
    return ring_field(memory_.slice(base_ + uint64_t{16} * index + 14, 2));
  }
  PackedEvent event(memory::GuestAddress at) const {
    return std::bit_cast<PackedEvent>(ring_field<uint32_t>(memory_.slice(at, 4)).load());
  }
  void collect() {
    while ((flags_of(used_.index).load(std::memory_order_acquire) & kOwner) == (used_.wrap ? kOwner : 0)) {
      PackedDescriptor element = descriptor(used_.index);
      fresh_.push_back({.id = element.id, .length = element.length});
      ++returned_;
      uint16_t number = element.id - kFirstId;
      // A device that returns what it was not given is found out by the test.
      advance(used_, number < size_ ? entries_[number] : uint16_t{1});
    }
  }

  const memory::GuestMemory& memory_;
  memory::GuestAddress base_;
  uint16_t size_;
  Place next_{};
  Place last_{};  // where the last chain begins
  Place used_{};
  uint16_t offered_ = 0;
  uint16_t returned_ = 0;
  std::vector<uint16_t> entries_;  // of the chains in flight
  std::vector<UsedElement> fresh_;
};

}  // namespace pagurus::virtio::testing
