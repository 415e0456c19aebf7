// The split virtqueue as it lies in guest memory (virtio 1.2, 2.7).
//
// A queue of `size` entries is three areas that the driver allocates:
//
//   descriptor table   size x {address, length, flags, next}: buffers, chained by `next`
//   available ring     flags, idx, ring[size], used_event: the driver offers heads of chains here
//   used ring          flags, idx, ring[size] x {id, length}, avail_event: we give them back here
//
// Both idx count up for ever, modulo 2^16; an entry's place is its number modulo `size`.  used_event
// and avail_event exist with VIRTIO_F_EVENT_IDX: "wake me when idx passes this number".
//
// This file: the layout, and reading and writing it once and in order.  The guest's CPUs write at
// the same time, so every load that is checked goes into a local copy.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstring>
#include <expected>
#include <type_traits>

namespace pagurus::virtio {

inline constexpr uint16_t kDescNext = 1;
inline constexpr uint16_t kDescWrite = 2;
inline constexpr uint16_t kDescIndirect = 4;

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

// What a driver did that the specification forbids; a sentence for the log.
struct BrokenRing {
  const char* why;
};
template <class T>
using RingResult = std::expected<T, BrokenRing>;
inline std::unexpected<BrokenRing> broken(const char* why) { return std::unexpected(BrokenRing{why}); }

// Copies a structure that the guest may be changing: the copy is made now, and once.
template <class T>
T copy_once(const uint8_t* from) {
  static_assert(std::is_trivially_copyable_v<T>);
  T value;
  std::memcpy(&value, from, sizeof value);
  // Keeps the compiler from reading `from` again instead of the copy.
  std::atomic_signal_fence(std::memory_order_seq_cst);
  return value;
}

// A 16-bit field of a ring; `at` is 2-aligned because rings are.
inline std::atomic_ref<uint16_t> ring_field(uint8_t* at) { return std::atomic_ref(*reinterpret_cast<uint16_t*>(at)); }

// virtio 1.2, 2.7.10.1: whether an idx that moved from `before` to `now` has passed `event`.
constexpr bool event_passed(uint16_t event, uint16_t now, uint16_t before) {
  return static_cast<uint16_t>(now - event - 1) < static_cast<uint16_t>(now - before);
}

}  // namespace pagurus::virtio
