// The state of a TAP's queue as it moves.
#pragma once

#include <cstdint>
#include <string>

#include "vmstate/description.h"

namespace pagurus::net {

// sizeof(struct virtio_net_hdr_v1): virtio 1.2, 5.1.6, with num_buffers always present.
inline constexpr int kVnetHeaderSize = 12;

// What moves for one queue.  The tunnel offloads of newer kernels are named so that the field has
// its place; this version offers none.
struct TapState {
  std::string ifname;
  bool enabled = true;
  bool vnet_header = false;
  uint8_t vnet_header_size = 0;
  bool has_csum = false;
  bool has_tso4 = false;
  bool has_tso6 = false;
  bool has_ecn = false;
  bool has_ufo = false;
  bool has_uso = false;
  bool has_tunnel = false;
  vmstate::Fd fd;

  static const vmstate::Description& description();
};

// What moves of a TAP with several queues; the first ones are enabled, at least one.
struct TapQueuesState {
  std::vector<TapState> queues;

  static const vmstate::Description& description();
  Result<void> validate() const;
};

}  // namespace pagurus::net
