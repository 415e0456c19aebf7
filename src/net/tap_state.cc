#include "net/tap_state.h"

#include <net/if.h>

#include "net/backend.h"

namespace pagurus::net {

const vmstate::Description& TapState::description() {
  static constexpr auto kFields = std::array{
      vmstate::field<&TapState::ifname>("ifname", {.max = IFNAMSIZ - 1}),
      vmstate::field<&TapState::enabled>("enabled"),
      vmstate::field<&TapState::vnet_header>("vnet-header"),
      vmstate::field<&TapState::vnet_header_size>("vnet-header-size", {.max = kVnetHeaderSize}),
      vmstate::field<&TapState::has_csum>("has-csum"),
      vmstate::field<&TapState::has_tso4>("has-tso4"),
      vmstate::field<&TapState::has_tso6>("has-tso6"),
      vmstate::field<&TapState::has_ecn>("has-ecn"),
      vmstate::field<&TapState::has_ufo>("has-ufo"),
      vmstate::field<&TapState::has_uso>("has-uso"),
      vmstate::field<&TapState::has_tunnel>("has-tunnel"),
      vmstate::field<&TapState::fd>("fd"),
  };
  static constexpr vmstate::Description kDescription{"tap", 1, kFields};
  return kDescription;
}

const vmstate::Description& TapQueuesState::description() {
  static constexpr auto kFields =
      std::array{vmstate::field<&TapQueuesState::queues>("queues", {.max = kMaxQueuePairs})};
  static constexpr vmstate::Description kDescription{"tap-queues", 1, kFields};
  return kDescription;
}

Result<void> TapQueuesState::validate() const {
  for (size_t i = 1; i < queues.size(); ++i) {
    const TapState &queue = queues[i], &before = queues[i - 1];
    if (queue.ifname != before.ifname) return fail("queues of '{}' and of '{}'", before.ifname, queue.ifname);
    if (queue.enabled && !before.enabled) return fail("queue {} is enabled behind one that is not", i);
  }
  return {};
}

}  // namespace pagurus::net
