// The state of a virtio-net device beyond its transport.
#pragma once

#include <cstdint>
#include <vector>

#include "vmstate/description.h"

namespace pagurus::device {

// The largest frame we hold: a virtio_net_hdr_v1, an Ethernet header with a VLAN tag, 64 KiB.
inline constexpr size_t kNetHeaderBytes = 12;
inline constexpr size_t kMaxNetFrame = kNetHeaderBytes + 18 + 65536;

struct VirtioNetState {
  bool link_up = true;
  bool announce = false;  // VIRTIO_NET_S_ANNOUNCE is set and not yet acknowledged
  // A frame, header first, that was read and waits until the driver offers room for all of it.
  std::vector<uint8_t> held_frame;
  bool carrier = true;  // what the guest knows of the back end's connection
  // The same of the pairs from the second one on, as far as any has one.
  std::vector<std::vector<uint8_t>> further_held_frames;
  static const vmstate::Description& description();
  Result<void> validate() const;
};

}  // namespace pagurus::device
