// The common configuration structure of PciTransport (virtio 1.2, 4.1.4.3).
#include <cstddef>
#include <cstring>

#include "virtio/pci_transport.h"

namespace pagurus::virtio {
namespace {

struct CommonConfig {
  uint32_t device_feature_select;
  uint32_t device_feature;
  uint32_t driver_feature_select;
  uint32_t driver_feature;
  uint16_t config_vector;
  uint16_t num_queues;
  uint8_t device_status;
  uint8_t config_generation;
  uint16_t queue_select;
  uint16_t queue_size;
  uint16_t queue_vector;
  uint16_t queue_enable;
  uint16_t queue_notify_off;
  uint64_t queue_descriptors;
  uint64_t queue_avail;
  uint64_t queue_used;
  uint16_t queue_notify_data;
  uint16_t queue_reset;
};
static_assert(offsetof(CommonConfig, queue_descriptors) == 0x20 && offsetof(CommonConfig, queue_reset) == 0x3a);

// The half of a 64-bit feature set that a select register means.
uint32_t half(uint64_t features, uint32_t select) {
  return select < 2 ? static_cast<uint32_t>(features >> (32 * select)) : 0;
}

// A 64-bit register written whole or by halves (virtio 1.2, 4.1.3.1).
void write_address(memory::GuestAddress& address, bool high, unsigned size, uint64_t value) {
  if (size == 8) {
    address.value = value;
  } else if (high) {
    address.value = (address.value & 0xffff'ffff) | value << 32;
  } else {
    address.value = (address.value & ~uint64_t{0xffff'ffff}) | (value & 0xffff'ffff);
  }
}

}  // namespace

PciTransport::QueueRegisters* PciTransport::selected() {
  return queue_select_ < queues_.size() ? queues_[queue_select_].get() : nullptr;
}

// A vector that does not exist reads back as "no vector": so the driver learns of it (4.1.5.1.2).
uint16_t PciTransport::checked_vector(uint64_t value) const {
  return value < msix_->vectors() ? static_cast<uint16_t>(value) : kNoVector;
}

uint64_t PciTransport::common_read(uint64_t offset, unsigned size) {
  if (offset + size > sizeof(CommonConfig)) return 0;
  std::lock_guard lock(lock_);
  CommonConfig image{.device_feature_select = device_feature_select_,
                     .device_feature = half(device_.features(), device_feature_select_),
                     .driver_feature_select = driver_feature_select_,
                     .driver_feature = half(driver_features_, driver_feature_select_),
                     .config_vector = config_vector_,
                     .num_queues = static_cast<uint16_t>(queues_.size()),
                     .device_status = status_,
                     .config_generation = config_generation_,
                     .queue_select = queue_select_};
  if (const QueueRegisters* queue = selected()) {
    image.queue_size = queue->config.size;
    image.queue_vector = queue->vector;
    image.queue_enable = queue->config.enabled ? 1 : 0;
    image.queue_notify_off = queue_select_;
    image.queue_descriptors = queue->config.descriptors.value;
    image.queue_avail = queue->config.avail.value;
    image.queue_used = queue->config.used.value;
  }
  uint64_t value = 0;
  std::memcpy(&value, reinterpret_cast<const uint8_t*>(&image) + offset, size);
  return value;
}

void PciTransport::common_write(uint64_t offset, unsigned size, uint64_t value) {
  std::lock_guard lock(lock_);
  switch (offset) {
    case offsetof(CommonConfig, device_feature_select): device_feature_select_ = static_cast<uint32_t>(value); return;
    case offsetof(CommonConfig, driver_feature_select): driver_feature_select_ = static_cast<uint32_t>(value); return;
    case offsetof(CommonConfig, driver_feature): {
      if ((status_ & kStatusFeaturesOk) != 0) return fault("features written after FEATURES_OK");
      if (driver_feature_select_ >= 2) return;
      unsigned shift = 32 * driver_feature_select_;
      uint64_t mask = uint64_t{0xffff'ffff} << shift;
      driver_features_ = (driver_features_ & ~mask) | (value & 0xffff'ffff) << shift;
      return;
    }
    case offsetof(CommonConfig, config_vector): config_vector_ = checked_vector(value); return;
    case offsetof(CommonConfig, device_status): write_status(static_cast<uint8_t>(value)); return;
    case offsetof(CommonConfig, queue_select): queue_select_ = static_cast<uint16_t>(value); return;
    default: write_queue_register(offset, size, value);
  }
}

void PciTransport::write_queue_register(uint64_t offset, unsigned size, uint64_t value) {
  QueueRegisters* queue = selected();
  if (queue == nullptr) return;
  if (offset == offsetof(CommonConfig, queue_vector)) {
    queue->vector = checked_vector(value);
    return;
  }
  QueueConfig& config = queue->config;
  // The running Queue was made from these registers: they stand until the reset.
  if (config.enabled || (status_ & kStatusDriverOk) != 0) return fault("a queue's register written while it runs");
  switch (offset) {
    case offsetof(CommonConfig, queue_size): config.size = static_cast<uint16_t>(value); return;
    case offsetof(CommonConfig, queue_enable): config.enabled = value == 1; return;
    case offsetof(CommonConfig, queue_descriptors): return write_address(config.descriptors, false, size, value);
    case offsetof(CommonConfig, queue_descriptors) + 4: return write_address(config.descriptors, true, size, value);
    case offsetof(CommonConfig, queue_avail): return write_address(config.avail, false, size, value);
    case offsetof(CommonConfig, queue_avail) + 4: return write_address(config.avail, true, size, value);
    case offsetof(CommonConfig, queue_used): return write_address(config.used, false, size, value);
    case offsetof(CommonConfig, queue_used) + 4: return write_address(config.used, true, size, value);
    default: return;
  }
}

void PciTransport::write_status(uint8_t value) {
  if (value == 0) return reset_device();
  uint8_t before = status_;
  // Only a reset clears a bit (virtio 1.2, 2.1.1); NEEDS_RESET is ours.
  auto added = static_cast<uint8_t>(value & ~before & ~kStatusNeedsReset);
  status_.fetch_or(added & (kStatusAcknowledge | kStatusDriver | kStatusFailed));
  if ((added & kStatusFeaturesOk) != 0) negotiate();
  if ((added & kStatusDriverOk) != 0) start_driver();
}

// FEATURES_OK stays clear if the driver's choice is none: it reads it back (virtio 1.2, 2.2.2).
void PciTransport::negotiate() {
  bool subset = (driver_features_ & ~device_.features()) == 0;
  bool modern = (driver_features_ & kFeatureVersion1) != 0;
  if (subset && modern && device_.accepts(driver_features_)) {
    status_.fetch_or(kStatusFeaturesOk);
  } else {
    fault("features that were not offered, or that need others");
  }
}

void PciTransport::start_driver() {
  if ((status_ & kStatusFeaturesOk) == 0) return needs_reset("DRIVER_OK without FEATURES_OK");
  status_.fetch_or(kStatusDriverOk);
  auto queues = make_queues(std::vector(queues_.size(), Queue::first_position(queue_features())));
  if (!queues) return needs_reset(queues.error().message().c_str());
  active_ = true;
  auto activated =
      device_.activate({.features = driver_features_, .queues = *std::move(queues), .origin = Origin::kDriver});
  if (!activated) needs_reset(activated.error().message().c_str());
}

QueueFeatures PciTransport::queue_features() const {
  return {.event_idx = (driver_features_ & kFeatureEventIdx) != 0,
          .indirect = (driver_features_ & kFeatureIndirectDesc) != 0,
          .packed = (driver_features_ & kFeatureRingPacked) != 0};
}

Result<std::vector<std::optional<Queue>>> PciTransport::make_queues(const std::vector<QueuePosition>& positions) const {
  std::vector<std::optional<Queue>> result;
  for (size_t i = 0; i < queues_.size(); ++i) {
    if (!queues_[i]->config.enabled) {
      result.emplace_back();
      continue;
    }
    auto queue = Queue::activate(queues_[i]->config, device_.queue_sizes()[i], queue_features(), positions[i], memory_);
    if (!queue) return std::unexpected(std::move(queue.error()).while_doing("queue " + std::to_string(i)));
    result.emplace_back(*std::move(queue));
  }
  return result;
}

void PciTransport::reset_device() {
  if (active_) device_.deactivate();
  active_ = false;
  device_feature_select_ = driver_feature_select_ = 0;
  queue_select_ = 0;
  driver_features_ = 0;
  config_vector_ = kNoVector;
  isr_ = 0;
  for (size_t i = 0; i < queues_.size(); ++i) {
    queues_[i]->config = {.size = device_.queue_sizes()[i]};
    queues_[i]->vector = kNoVector;
    drain_eventfd(queues_[i]->kick.get());
  }
  // Last: a driver that polls for 0 finds the device at rest (virtio 1.2, 4.1.4.3.1).
  status_ = 0;
}

}  // namespace pagurus::virtio
