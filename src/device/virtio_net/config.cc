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
Result<unsigned> parse_slot(const std::string& context, std::string_view text) {
  size_t dot = text.find('.');
  auto slot = hexadecimal(text.substr(0, dot));
  auto function = dot == std::string_view::npos ? 0 : hexadecimal(text.substr(dot + 1));
  if (!slot || *slot < 1 || *slot > 31 || !function) {
    return fail("{}: addr '{}' is not a PCI slot from 1 to 1f, in hexadecimal", context, text);
  }
  if (*function != 0) return fail("{}: addr '{}': devices have function 0 only", context, text);
  return *slot;
}

Result<uint16_t> take_queue_size(qapi::Options& options, std::string_view key, uint16_t otherwise) {
  auto size = TRY(options.take_uint(key, 256, kMaxNetQueueSize)).value_or(otherwise);
  if (!std::has_single_bit(size)) return fail("{}: {} {} is not a power of two", options.context(), key, size);
  return static_cast<uint16_t>(size);
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

Result<VirtioNetConfig> VirtioNetConfig::parse(qapi::Options& options, const Defaults& defaults) {
  VirtioNetConfig config;
  config.id = TRY(options.take_string("id")).value_or(defaults.id);
  auto netdev = TRY(options.take_string("netdev"));
  if (!netdev) return fail("{}: virtio-net-pci needs netdev=, the id of a -netdev", options.context());
  config.netdev = *std::move(netdev);
  if (auto addr = TRY(options.take_string("addr"))) config.slot = TRY(parse_slot(options.context(), *addr));

  config.mac = {0x52, 0x54, 0x00, 0x12, 0x34, static_cast<uint8_t>(0x56 + defaults.index)};
  if (auto mac = TRY(options.take_string("mac"))) config.mac = TRY_DOING(options.context() + ": mac", parse_mac(*mac));
  // virtio 1.2, 5.1.4.1: an MTU that is offered lies between 68 and 65535.
  config.host_mtu = static_cast<uint16_t>(TRY(options.take_uint("host_mtu", 0, 65535)).value_or(0));
  if (config.host_mtu != 0 && config.host_mtu < 68) {
    return fail("{}: host_mtu {} is smaller than 68", options.context(), config.host_mtu);
  }
  config.rx_queue_size = TRY(take_queue_size(options, "rx_queue_size", config.rx_queue_size));
  config.tx_queue_size = TRY(take_queue_size(options, "tx_queue_size", config.tx_queue_size));

  const std::pair<std::string_view, bool*> switches[] = {
      {"mrg_rxbuf", &config.mrg_rxbuf},         {"event_idx", &config.event_idx},
      {"indirect_desc", &config.indirect_desc}, {"csum", &config.csum},
      {"guest_csum", &config.guest_csum},       {"host_tso4", &config.host_tso4},
      {"host_tso6", &config.host_tso6},         {"host_ecn", &config.host_ecn},
      {"guest_tso4", &config.guest_tso4},       {"guest_tso6", &config.guest_tso6},
      {"guest_ecn", &config.guest_ecn},         {"guest_announce", &config.guest_announce},
  };
  for (auto [key, value] : switches) *value = TRY(options.take_bool(key)).value_or(*value);
  config.backend_transfer = TRY(options.take_bool("backend-transfer")).value_or(defaults.backend_transfer);
  TRY(options.finish());
  return config;
}

}  // namespace pagurus::device
