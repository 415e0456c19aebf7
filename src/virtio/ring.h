// What both layouts of a virtqueue in guest memory have in common: split (split_ring.h) and packed
// (packed_ring.h).
//
// Rings are read and written once and in order.  The guest's CPUs write at the same time, so every load
// that is checked goes into a local copy.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstring>
#include <expected>
#include <type_traits>

namespace pagurus::virtio {

// Flags of a descriptor (virtio 1.2, 2.7.5 and 2.8.6).
inline constexpr uint16_t kDescNext = 1;
inline constexpr uint16_t kDescWrite = 2;
inline constexpr uint16_t kDescIndirect = 4;

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

// A field of a ring; `at` has the alignment of T because rings are aligned.
template <class T = uint16_t>
std::atomic_ref<T> ring_field(uint8_t* at) {
  return std::atomic_ref(*reinterpret_cast<T*>(at));
}

// virtio 1.2, 2.7.10.1: whether an idx that moved from `before` to `now` has passed `event`.
constexpr bool event_passed(uint16_t event, uint16_t now, uint16_t before) {
  return static_cast<uint16_t>(now - event - 1) < static_cast<uint16_t>(now - before);
}

}  // namespace pagurus::virtio
