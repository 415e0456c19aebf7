#include "device/virtio_net/state.h"

#include <algorithm>

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
  };
  static constexpr vmstate::Description kDescription{"virtio-net", 1, kFields};
  return kDescription;
}

Result<void> VirtioNetState::validate() const {
  auto whole = [](const std::vector<uint8_t>& frame) { return frame.empty() || frame.size() > kNetHeaderBytes; };
  if (whole(held_frame) && std::ranges::all_of(further_held_frames, whole)) return {};
  return fail("a held frame has not even the {} bytes of its header", kNetHeaderBytes);
}

}  // namespace pagurus::device
