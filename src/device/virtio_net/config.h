// The properties of `-device virtio-net-pci`, with QEMU's names and defaults.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "schema/machine.h"

namespace pagurus::device {

inline constexpr uint16_t kMinNetQueueSize = 256;
inline constexpr uint16_t kMaxNetQueueSize = 1024;

using MacAddress = std::array<uint8_t, 6>;

// "52:54:00:12:34:56"; refuses multicast addresses.
Result<MacAddress> parse_mac(const std::string& text);
std::string to_string(const MacAddress& mac);

struct VirtioNetConfig {
  // What the machine decides where the option says nothing.
  struct Defaults {
    std::string id;         // as given, or a name for messages: QEMU leaves a device without `id=` nameless
    unsigned index = 0;     // counts the NICs: the last byte of the default MAC is 0x56 + index
    bool backend_transfer;  // of the machine type
    // The machine type's default of a property that its predecessors had not.
    std::function<bool(std::string_view)> on = [](std::string_view) { return true; };
  };

  std::string id;
  std::string netdev;            // required
  std::optional<unsigned> slot;  // addr=, hexadecimal as in QEMU: "3" or "03.0"
  MacAddress mac{};
  uint16_t host_mtu = 0;  // 0: not offered
  bool mrg_rxbuf = true;
  bool event_idx = true;
  bool indirect_desc = true;
  bool packed = false;
  bool csum = true;
  bool guest_csum = true;
  bool host_tso4 = true;
  bool host_tso6 = true;
  bool host_ecn = true;
  bool guest_tso4 = true;
  bool guest_tso6 = true;
  bool guest_ecn = true;
  bool host_uso = true;
  bool guest_uso4 = true;
  bool guest_uso6 = true;
  bool ctrl_vq = true;  // a control queue; what follows needs it
  bool guest_announce = true;
  bool ctrl_rx = false;        // receive modes, table of MAC addresses
  bool ctrl_rx_extra = false;  // more modes
  bool ctrl_vlan = false;
  bool ctrl_mac_addr = false;
  bool ctrl_guest_offloads = false;
  bool rss = false;               // the driver can have frames steered by a hash
  bool hash = false;              // and be told the hash
  bool notf_coal = false;         // the driver can have interrupts wait for more packets
  bool mq = false;                // as many queue pairs as the back end has
  std::optional<uint32_t> speed;  // Mbit/s, at most INT32_MAX
  std::optional<schema::NetDuplex> duplex;
  uint16_t rx_queue_size = 256;  // a power of two, 256..1024
  uint16_t tx_queue_size = 256;
  bool backend_transfer = false;
  bool counters_move = true;  // no option: as the machine type has it

  static Result<VirtioNetConfig> from(const schema::VirtioNetPciOptions& options, const Defaults& defaults);

 private:
  Result<void> settle_control(const schema::VirtioNetPciOptions& options, const Defaults& defaults);
};

}  // namespace pagurus::device
