#include "net/tap_state.h"

#include <net/if.h>

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

}  // namespace pagurus::net
