// The modern virtio PCI transport, driver side (virtio 1.2, 4.1).
#pragma once

#include <cstdint>

#include "guest/pci.h"
#include "guest/virtqueue.h"

namespace pagurus::guest {

class VirtioPci {
 public:
  static constexpr uint8_t kAcknowledge = 1;
  static constexpr uint8_t kDriver = 2;
  static constexpr uint8_t kDriverOk = 4;
  static constexpr uint8_t kFeaturesOk = 8;
  static constexpr uint8_t kNeedsReset = 64;

  // Maps the capability structures; false if one that is needed is missing.
  bool open(const PciFunction& function);

  // Reset, ACKNOWLEDGE, DRIVER, features, FEATURES_OK.  Returns false if the device does not accept.
  // `wanted` is reduced to what the device offers; see features().
  bool negotiate(uint64_t wanted);
  uint64_t offered() const { return offered_; }
  uint64_t features() const { return features_; }
  bool has(unsigned bit) const { return (features_ >> bit & 1) != 0; }

  // Connects queue `index` to MSI-X entry `msix_entry` and enables it.
  // False if the device has no such queue or refuses the vector.
  bool start_queue(uint16_t index, Virtqueue& queue, uint16_t msix_entry);
  bool set_config_vector(uint16_t msix_entry);
  void driver_ok();

  uint8_t status() const;
  uint64_t device_config() const { return device_config_; }

 private:
  bool map_structure(uint8_t capability);
  void set_status(uint8_t status);

  PciFunction function_;
  uint64_t common_ = 0;
  uint64_t notify_ = 0;
  uint64_t isr_ = 0;
  uint64_t device_config_ = 0;
  uint32_t notify_multiplier_ = 0;
  uint64_t offered_ = 0;
  uint64_t features_ = 0;
};

}  // namespace pagurus::guest
