#include "virtio/transport_state.h"

namespace pagurus::virtio {

const vmstate::Description& QueueState::description() {
  static constexpr auto kFields = std::array{
      vmstate::field<&QueueState::size>("size"),
      vmstate::field<&QueueState::enabled>("enabled"),
      vmstate::field<&QueueState::vector>("vector"),
      vmstate::field<&QueueState::descriptors>("descriptors"),
      vmstate::field<&QueueState::avail>("avail"),
      vmstate::field<&QueueState::used>("used"),
      vmstate::field<&QueueState::next_avail>("next-avail"),
      vmstate::field<&QueueState::next_used>("next-used"),
  };
  static constexpr vmstate::Description kDescription{"virtqueue", 1, kFields};
  return kDescription;
}

const vmstate::Description& TransportState::description() {
  static constexpr auto kFields = std::array{
      vmstate::field<&TransportState::offered_features>("offered-features"),
      vmstate::field<&TransportState::driver_features>("driver-features"),
      vmstate::field<&TransportState::device_feature_select>("device-feature-select"),
      vmstate::field<&TransportState::driver_feature_select>("driver-feature-select"),
      vmstate::field<&TransportState::queue_select>("queue-select"),
      vmstate::field<&TransportState::config_vector>("config-vector"),
      vmstate::field<&TransportState::status>("status"),
      vmstate::field<&TransportState::isr>("isr"),
      vmstate::field<&TransportState::config_generation>("config-generation"),
      vmstate::field<&TransportState::queues>("queues", {.max = kMaxQueues}),
  };
  static constexpr vmstate::Description kDescription{"virtio-pci", 1, kFields};
  return kDescription;
}

}  // namespace pagurus::virtio
