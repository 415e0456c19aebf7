#include "net/vhost_net_state.h"

namespace pagurus::net {

const vmstate::Description& VhostNetEarlyState::description() {
  static constexpr auto kFields = std::array{
      vmstate::field<&VhostNetEarlyState::devices>("devices", {.max = 16}),
      vmstate::field<&VhostNetEarlyState::reason>("reason", {.max = 1024}),
  };
  static constexpr vmstate::Description kDescription{"vhost-net-early", 1, kFields};
  return kDescription;
}

}  // namespace pagurus::net
