#include "device/virtio_net/config.h"

#include <bit>
#include <charconv>

namespace pagurus::device {
namespace {

// The number that makes up all of `text`.
std::optional<unsigned> hexadecimal(std::string_view text) {
  if (text.starts_with("0x")) text.remove_prefix(2);
  unsigned value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// "3", "0x3", "03.0": slot, and function 0.
Result<unsigned> parse_slot(std::string_view text) {
  size_t dot = text.find('.');
  auto slot = hexadecimal(text.substr(0, dot));
  auto function = dot == std::string_view::npos ? 0 : hexadecimal(text.substr(dot + 1));
  if (!slot || *slot < 1 || *slot > 31 || !function) {
    return fail("addr '{}' is not a PCI slot from 1 to 1f, in hexadecimal", text);
  }
  if (*function != 0) return fail("addr '{}': devices have function 0 only", text);
  return *slot;
}

Result<void> check_queue_size(std::string_view name, uint16_t size) {
  bool good = std::has_single_bit(size) && size >= kMinNetQueueSize && size <= kMaxNetQueueSize;
  if (good) return {};
  return fail("{} is a power of two from {} to {}, not {}", name, kMinNetQueueSize, kMaxNetQueueSize, size);
}

}  // namespace

Result<MacAddress> parse_mac(const std::string& text) {
  MacAddress mac{};
  bool well_formed = text.size() == 17;
  for (size_t i = 0; well_formed && i < mac.size(); ++i) {
    const char* at = text.data() + 3 * i;
    auto [end, error] = std::from_chars(at, at + 2, mac[i], 16);
    bool separated = i == 5 || at[2] == ':' || at[2] == '-';
    well_formed = error == std::errc() && end == at + 2 && separated;
  }
  if (!well_formed) return fail("'{}' is not a MAC address such as 52:54:00:12:34:56", text);
  if ((mac[0] & 1) != 0) return fail("'{}' is a multicast MAC address; a NIC needs a unicast one", text);
  return mac;
}

std::string to_string(const MacAddress& mac) {
  return fmt::format("{:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
}

Result<VirtioNetConfig> VirtioNetConfig::from(const schema::VirtioNetPciOptions& options, const Defaults& defaults) {
  VirtioNetConfig config;
  config.id = defaults.id;
  config.netdev = options.netdev;
  std::string doing = fmt::format("device '{}'", config.id);
  if (options.addr) config.slot = TRY_DOING(doing, parse_slot(*options.addr));

  config.mac = {0x52, 0x54, 0x00, 0x12, 0x34, static_cast<uint8_t>(0x56 + defaults.index)};
  if (options.mac) config.mac = TRY_DOING(doing + ": mac", parse_mac(*options.mac));
  config.host_mtu = options.host_mtu.value_or(0);
  // virtio 1.2, 5.1.4.1.
  if (config.host_mtu != 0 && config.host_mtu < 68) {
    return fail("{}: host_mtu {} is smaller than 68", doing, config.host_mtu);
  }
  config.rx_queue_size = options.rx_queue_size.value_or(config.rx_queue_size);
  config.tx_queue_size = options.tx_queue_size.value_or(config.tx_queue_size);
  TRY_DOING(doing, check_queue_size("rx_queue_size", config.rx_queue_size));
  TRY_DOING(doing, check_queue_size("tx_queue_size", config.tx_queue_size));

  config.mrg_rxbuf = options.mrg_rxbuf.value_or(true);
  config.event_idx = options.event_idx.value_or(true);
  config.indirect_desc = options.indirect_desc.value_or(true);
  config.packed = options.packed.value_or(false);
  config.csum = options.csum.value_or(true);
  config.guest_csum = options.guest_csum.value_or(true);
  config.host_tso4 = options.host_tso4.value_or(true);
  config.host_tso6 = options.host_tso6.value_or(true);
  config.host_ecn = options.host_ecn.value_or(true);
  config.guest_tso4 = options.guest_tso4.value_or(true);
  config.guest_tso6 = options.guest_tso6.value_or(true);
  config.guest_ecn = options.guest_ecn.value_or(true);
  config.host_uso = options.host_uso.value_or(defaults.on("host_uso"));
  config.guest_uso4 = options.guest_uso4.value_or(defaults.on("guest_uso4"));
  config.guest_uso6 = options.guest_uso6.value_or(defaults.on("guest_uso6"));
  config.mq = options.mq.value_or(false);
  config.speed = options.speed;
  config.duplex = options.duplex;
  if (config.speed.value_or(0) > INT32_MAX) return fail("{}: speed is larger than {}", doing, INT32_MAX);
  TRY_DOING(doing, config.settle_control(options, defaults));
  config.backend_transfer = options.backend_transfer.value_or(defaults.backend_transfer);
  config.counters_move = defaults.on("counters-move");
  return config;
}

// The control queue, and what needs it.
Result<void> VirtioNetConfig::settle_control(const schema::VirtioNetPciOptions& options, const Defaults& defaults) {
  ctrl_vq = options.ctrl_vq.value_or(defaults.on("ctrl_vq") || options.guest_announce.value_or(true) || mq);
  const struct {
    const char* name;
    bool& on;
    std::optional<bool> given;
  } users[] = {{"guest_announce", guest_announce, options.guest_announce.value_or(ctrl_vq)},
               {"ctrl_rx", ctrl_rx, options.ctrl_rx},
               {"ctrl_rx_extra", ctrl_rx_extra, options.ctrl_rx_extra},
               {"ctrl_vlan", ctrl_vlan, options.ctrl_vlan},
               {"ctrl_mac_addr", ctrl_mac_addr, options.ctrl_mac_addr},
               {"ctrl_guest_offloads", ctrl_guest_offloads, options.ctrl_guest_offloads},
               {"rss", rss, options.rss.value_or(false)},
               {"hash", hash, options.hash.value_or(false)},
               {"notf_coal", notf_coal, options.notf_coal.value_or(false)},
               {"mq", mq, mq}};
  for (const auto& user : users) {
    user.on = user.given.value_or(ctrl_vq && defaults.on(user.name));
    if (user.on && !ctrl_vq) return fail("{}=on needs the control queue, but ctrl_vq is off", user.name);
  }
  return {};
}

}  // namespace pagurus::device
