#include "monitor/listener_state.h"

#include <sys/un.h>

namespace pagurus::monitor {

const vmstate::Description& ListenerState::description() {
  static constexpr auto kFields = std::array{
      vmstate::field<&ListenerState::path>("path", {.max = sizeof(sockaddr_un::sun_path)}),
      vmstate::field<&ListenerState::socket>("socket"),
  };
  static constexpr vmstate::Description kDescription{"qmp-listener", 1, kFields};
  return kDescription;
}

}  // namespace pagurus::monitor
