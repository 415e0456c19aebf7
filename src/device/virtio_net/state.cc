#include "device/virtio_net/state.h"

namespace pagurus::device {

const vmstate::Description& VirtioNetState::description() {
  static constexpr auto kFields = std::array{
      vmstate::field<&VirtioNetState::link_up>("link-up"),
      vmstate::field<&VirtioNetState::announce>("announce"),
      vmstate::field<&VirtioNetState::held_frame>("held-frame", {.max = kMaxNetFrame}),
  };
  static constexpr vmstate::Description kDescription{"virtio-net", 1, kFields};
  return kDescription;
}

Result<void> VirtioNetState::validate() const {
  if (held_frame.empty() || held_frame.size() > kNetHeaderBytes) return {};
  return fail("the held frame has {} bytes, less than its header", held_frame.size());
}

}  // namespace pagurus::device
