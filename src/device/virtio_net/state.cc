#include "device/virtio_net/state.h"

#include <algorithm>

#include "device/virtio_net/rss.h"
#include "device/virtio_net/rx_filter.h"
#include "net/backend.h"

namespace pagurus::device {

const vmstate::Description& VirtioNetState::description() {
  static constexpr auto kFields = std::array{
      vmstate::field<&VirtioNetState::link_up>("link-up"),
      vmstate::field<&VirtioNetState::announce>("announce"),
      vmstate::field<&VirtioNetState::held_frame>("held-frame", {.max = kMaxNetFrame}),
      vmstate::field<&VirtioNetState::carrier>("carrier", {.optional = true}),
      vmstate::field<&VirtioNetState::further_held_frames>(
          "further-held-frames", {.max = net::kMaxQueuePairs - 1, .element_max = kMaxNetFrame, .optional = true}),
      vmstate::field<&VirtioNetState::promisc>("promisc", {.optional = true}),
      vmstate::field<&VirtioNetState::allmulti>("allmulti", {.optional = true}),
      vmstate::field<&VirtioNetState::alluni>("alluni", {.optional = true}),
      vmstate::field<&VirtioNetState::nomulti>("nomulti", {.optional = true}),
      vmstate::field<&VirtioNetState::nouni>("nouni", {.optional = true}),
      vmstate::field<&VirtioNetState::nobcast>("nobcast", {.optional = true}),
      vmstate::field<&VirtioNetState::mac>("mac", {.max = sizeof(MacAddress), .optional = true}),
      vmstate::field<&VirtioNetState::unicast>("unicast", {.max = RxFilter::kMaxMacs, .optional = true}),
      vmstate::field<&VirtioNetState::multicast>("multicast", {.max = RxFilter::kMaxMacs, .optional = true}),
      vmstate::field<&VirtioNetState::unicast_overflow>("unicast-overflow", {.optional = true}),
      vmstate::field<&VirtioNetState::multicast_overflow>("multicast-overflow", {.optional = true}),
      vmstate::field<&VirtioNetState::vlans>("vlans", {.max = RxFilter::kVlans / 64, .optional = true}),
      vmstate::field<&VirtioNetState::active_pairs>("active-pairs", {.max = net::kMaxQueuePairs, .optional = true}),
      vmstate::field<&VirtioNetState::offloads_off>("offloads-off", {.optional = true}),
      vmstate::field<&VirtioNetState::hash_types>("hash-types", {.max = kSupportedHashTypes, .optional = true}),
      vmstate::field<&VirtioNetState::hash_key>("hash-key", {.max = kMaxRssKey, .optional = true}),
      vmstate::field<&VirtioNetState::rss_table>(
          "rss-table", {.max = kMaxRssTable, .element_max = net::kMaxQueuePairs - 1, .optional = true}),
      vmstate::field<&VirtioNetState::rss_unclassified>("rss-unclassified",
                                                        {.max = net::kMaxQueuePairs - 1, .optional = true}),
      vmstate::field<&VirtioNetState::rx_max_packets>("rx-max-packets", {.optional = true}),
      vmstate::field<&VirtioNetState::rx_max_usecs>("rx-max-usecs", {.optional = true}),
      vmstate::field<&VirtioNetState::tx_max_packets>("tx-max-packets", {.optional = true}),
      vmstate::field<&VirtioNetState::tx_max_usecs>("tx-max-usecs", {.optional = true}),
      vmstate::field<&VirtioNetState::counters>("counters", {.max = net::kMaxQueuePairs, .optional = true}),
      vmstate::field<&VirtioNetState::control_kicks>("control-kicks", {.optional = true}),
  };
  static constexpr vmstate::Description kDescription{"virtio-net", 1, kFields};
  return kDescription;
}

Result<void> VirtioNetState::validate() const {
  auto whole = [](const std::vector<uint8_t>& frame) { return frame.empty() || frame.size() > kNetHeaderBytes; };
  if (!mac.empty() && mac.size() != sizeof(MacAddress)) return fail("a MAC address of {} bytes", mac.size());
  if (!vlans.empty() && vlans.size() != RxFilter::kVlans / 64) return fail("{} words of VLANs", vlans.size());
  if (active_pairs == 0) return fail("no queue pair is active");
  if (whole(held_frame) && std::ranges::all_of(further_held_frames, whole)) return {};
  return fail("a held frame has not even the {} bytes of its header", kNetHeaderBytes);
}

}  // namespace pagurus::device
