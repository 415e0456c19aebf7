// The state of a virtio-net device beyond its transport.
#pragma once

#include <cstdint>
#include <vector>

#include "device/virtio_net/config.h"
#include "device/virtio_net/counters.h"
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
  // What the driver has set by commands.
  bool promisc = true;
  bool allmulti = false;
  bool alluni = false;
  bool nomulti = false;
  bool nouni = false;
  bool nobcast = false;
  std::vector<uint8_t> mac;  // empty: the configured one
  std::vector<MacAddress> unicast;
  std::vector<MacAddress> multicast;
  bool unicast_overflow = false;
  bool multicast_overflow = false;
  std::vector<uint64_t> vlans;
  uint16_t active_pairs = 1;
  uint64_t offloads_off = 0;  // feature bits that it negotiated and has switched off
  // A Rss (rss.h): what the driver has set of it.
  uint32_t hash_types = 0;
  std::vector<uint8_t> hash_key;
  std::vector<uint16_t> rss_table;
  uint16_t rss_unclassified = 0;
  // CoalescingLimits (coalescing.h).  No interrupt waits when the device has been frozen.
  uint32_t rx_max_packets = 0;
  uint32_t rx_max_usecs = 0;
  uint32_t tx_max_packets = 0;
  uint32_t tx_max_usecs = 0;
  // What the device has done: each pair, or none at all.
  std::vector<std::array<uint64_t, PairCounters::kCount>> counters;
  uint64_t control_kicks = 0;
  static const vmstate::Description& description();
  Result<void> validate() const;
};

}  // namespace pagurus::device
