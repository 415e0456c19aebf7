// The driver's side of a virtqueue of either layout.
#pragma once

#include <memory>

#include "virtio/testing/packed_ring_builder.h"
#include "virtio/testing/ring_builder.h"

namespace pagurus::virtio::testing {

inline std::unique_ptr<DriverRing> make_ring(Layout layout, const memory::GuestMemory& memory,
                                             memory::GuestAddress base, uint16_t size) {
  if (layout == Layout::kPacked) return std::make_unique<PackedRingBuilder>(memory, base, size);
  return std::make_unique<RingBuilder>(memory, base, size);
}

}  // namespace pagurus::virtio::testing
