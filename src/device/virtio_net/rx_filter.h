// Which frames a driver wants to receive, as it says with commands (virtio 1.2, 5.1.6.5.1 to 5.1.6.5.3).
// At first it receives everything.
//
// Threads: none of its own.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "device/virtio_net/config.h"
#include "device/virtio_net/control_queue.h"

namespace pagurus::device {

struct RxFilter {
  // The addresses of one kind together with the other; a driver that wants more gets all of the kind.
  static constexpr size_t kMaxMacs = 64;
  static constexpr unsigned kVlans = 4096;
  // How much of a frame passes() looks at: an Ethernet header and a VLAN tag.
  static constexpr size_t kLooksAt = 16;

  // The five commands; each answers kError, and changes nothing, if it makes no sense.
  ControlAnswer set_mode(uint8_t mode, std::span<const uint8_t> data);
  ControlAnswer set_mac_table(std::span<const uint8_t> data);
  ControlAnswer set_mac(std::span<const uint8_t> data);
  ControlAnswer add_vlan(std::span<const uint8_t> data);
  ControlAnswer remove_vlan(std::span<const uint8_t> data);

  // Of a frame without its virtio header.
  bool passes(const std::array<uint8_t, kLooksAt>& frame) const;
  // Those of `vlans`, in order.
  std::vector<unsigned> vlan_list() const;

  bool promisc = true;
  bool allmulti = false;
  bool alluni = false;
  bool nomulti = false;
  bool nouni = false;
  bool nobcast = false;
  MacAddress mac{};  // the device's own
  std::vector<MacAddress> unicast;
  std::vector<MacAddress> multicast;
  bool unicast_overflow = false;  // the driver named more than fit
  bool multicast_overflow = false;
  bool checks_vlans = false;    // the driver negotiated VIRTIO_NET_F_CTRL_VLAN
  std::vector<uint64_t> vlans;  // a bit for each, or none at all
};

}  // namespace pagurus::device
