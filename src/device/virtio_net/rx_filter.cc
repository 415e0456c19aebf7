#include "device/virtio_net/rx_filter.h"

#include <algorithm>
#include <optional>

#include "base/bytes.h"

namespace pagurus::device {
namespace {

constexpr MacAddress kBroadcast{0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

ControlAnswer answer(bool done) { return done ? ControlAnswer::kOk : ControlAnswer::kError; }

// One of the two lists of a MAC table, taken from the front of `data`.
std::optional<std::vector<MacAddress>> take_list(std::span<const uint8_t>& data) {
  if (data.size() < 4) return std::nullopt;
  uint64_t count = load_le<uint32_t>(data.data());
  data = data.subspan(4);
  if (count > data.size() / sizeof(MacAddress)) return std::nullopt;
  std::vector<MacAddress> list(count);
  for (MacAddress& mac : list) {
    std::copy_n(data.begin(), mac.size(), mac.begin());
    data = data.subspan(mac.size());
  }
  return list;
}

std::optional<unsigned> vlan_of(std::span<const uint8_t> data) {
  if (data.size() != 2) return std::nullopt;
  unsigned vlan = load_le<uint16_t>(data.data());
  return vlan < RxFilter::kVlans ? std::optional(vlan) : std::nullopt;
}

uint64_t bit(unsigned vlan) { return uint64_t{1} << vlan % 64; }

}  // namespace

ControlAnswer RxFilter::set_mode(uint8_t mode, std::span<const uint8_t> data) {
  bool* const modes[] = {&promisc, &allmulti, &alluni, &nomulti, &nouni, &nobcast};
  if (mode >= std::size(modes) || data.size() != 1) return ControlAnswer::kError;
  *modes[mode] = data[0] != 0;
  return ControlAnswer::kOk;
}

ControlAnswer RxFilter::set_mac_table(std::span<const uint8_t> data) {
  auto uni = take_list(data);
  auto multi = uni ? take_list(data) : std::nullopt;
  if (!multi || !data.empty()) return ControlAnswer::kError;
  unicast_overflow = uni->size() > kMaxMacs;
  if (unicast_overflow) uni->clear();
  multicast_overflow = uni->size() + multi->size() > kMaxMacs;
  if (multicast_overflow) multi->clear();
  unicast = *std::move(uni);
  multicast = *std::move(multi);
  return ControlAnswer::kOk;
}

ControlAnswer RxFilter::set_mac(std::span<const uint8_t> data) {
  if (data.size() != mac.size()) return ControlAnswer::kError;
  std::ranges::copy(data, mac.begin());
  return ControlAnswer::kOk;
}

ControlAnswer RxFilter::add_vlan(std::span<const uint8_t> data) {
  auto vlan = vlan_of(data);
  if (vlan && vlans.empty()) vlans.resize(kVlans / 64);
  if (vlan) vlans[*vlan / 64] |= bit(*vlan);
  return answer(vlan.has_value());
}

ControlAnswer RxFilter::remove_vlan(std::span<const uint8_t> data) {
  auto vlan = vlan_of(data);
  if (vlan && !vlans.empty()) vlans[*vlan / 64] &= ~bit(*vlan);
  return answer(vlan.has_value());
}

std::vector<unsigned> RxFilter::vlan_list() const {
  std::vector<unsigned> list;
  for (unsigned vlan = 0; vlan < 64 * vlans.size(); ++vlan) {
    if ((vlans[vlan / 64] & bit(vlan)) != 0) list.push_back(vlan);
  }
  return list;
}

bool RxFilter::passes(const std::array<uint8_t, kLooksAt>& frame) const {
  if (promisc) return true;
  bool tagged = frame[12] == 0x81 && frame[13] == 0x00;
  if (checks_vlans && tagged) {
    unsigned vlan = (unsigned{frame[14]} << 8 | frame[15]) % kVlans;
    if (vlans.empty() || (vlans[vlan / 64] & bit(vlan)) == 0) return false;
  }
  MacAddress to{};
  std::copy_n(frame.begin(), to.size(), to.begin());
  auto listed = [&](const std::vector<MacAddress>& list) { return std::ranges::find(list, to) != list.end(); };
  if (to == kBroadcast) return !nobcast;
  if ((to[0] & 1) != 0) return !nomulti && (allmulti || multicast_overflow || listed(multicast));
  return !nouni && (alluni || unicast_overflow || to == mac || listed(unicast));
}

}  // namespace pagurus::device
