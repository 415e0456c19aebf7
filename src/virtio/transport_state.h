// The state of a virtio transport as it is saved: the registers of the common configuration
// structure and how far every queue has come.
#pragma once

#include <cstdint>
#include <vector>

#include "vmstate/description.h"

namespace pagurus::virtio {

inline constexpr unsigned kMaxQueues = 64;

struct QueueState {
  uint16_t size = 0;
  bool enabled = false;
  uint16_t vector = 0xffff;
  uint64_t descriptors = 0;
  uint64_t avail = 0;
  uint64_t used = 0;
  uint16_t next_avail = 0;
  uint16_t next_used = 0;
  static const vmstate::Description& description();
};

struct TransportState {
  uint64_t offered_features = 0;
  uint64_t driver_features = 0;
  uint32_t device_feature_select = 0;
  uint32_t driver_feature_select = 0;
  uint16_t queue_select = 0;
  uint16_t config_vector = 0xffff;
  uint8_t status = 0;
  uint8_t isr = 0;
  uint8_t config_generation = 0;
  std::vector<QueueState> queues;
  static const vmstate::Description& description();
};

}  // namespace pagurus::virtio
