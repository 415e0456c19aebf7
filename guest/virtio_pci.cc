// Common configuration structure and capability walk.

#include "guest/virtio_pci.h"

#include "guest/cpu.h"

namespace pagurus::guest {
namespace {

constexpr uint8_t kVendorCapability = 0x09;

// virtio 1.2, 4.1.4
enum StructureType : uint8_t { kCommon = 1, kNotify = 2, kIsr = 3, kDevice = 4 };

// Offsets in the common configuration (virtio 1.2, 4.1.4.3).
constexpr unsigned kDeviceFeatureSelect = 0x00;
constexpr unsigned kDeviceFeature = 0x04;
constexpr unsigned kDriverFeatureSelect = 0x08;
constexpr unsigned kDriverFeature = 0x0c;
constexpr unsigned kConfigVector = 0x10;
constexpr unsigned kStatus = 0x14;
constexpr unsigned kQueueSelect = 0x16;
constexpr unsigned kQueueSize = 0x18;
constexpr unsigned kQueueVector = 0x1a;
constexpr unsigned kQueueEnable = 0x1c;
constexpr unsigned kQueueNotifyOffset = 0x1e;
constexpr unsigned kQueueDescriptors = 0x20;
constexpr unsigned kQueueDriver = 0x28;
constexpr unsigned kQueueDevice = 0x30;

constexpr uint16_t kNoVector = 0xffff;
constexpr unsigned kEventIdxBit = 29;
constexpr unsigned kPackedBit = 34;

// 64-bit registers are written in halves (virtio 1.2, 4.1.3.1 allows both; not every device takes one store).
void write64(uint64_t address, uint64_t value) {
  write_mmio<uint32_t>(address, static_cast<uint32_t>(value));
  write_mmio<uint32_t>(address + 4, static_cast<uint32_t>(value >> 32));
}

}  // namespace

bool VirtioPci::map_structure(uint8_t capability) {
  const auto type = function_.read8(static_cast<uint16_t>(capability + 3));
  if (type < kCommon || type > kDevice) return true;
  const auto bar = function_.read8(static_cast<uint16_t>(capability + 4));
  if (bar > 5) return true;  // reserved values are to be ignored
  const MemoryRange range = function_.memory_bar(bar);
  if (range.size == 0) return type != kCommon;
  const uint64_t address = range.base + function_.read32(static_cast<uint16_t>(capability + 8));
  if (type == kCommon && common_ == 0) common_ = address;
  if (type == kIsr && isr_ == 0) isr_ = address;
  if (type == kDevice && device_config_ == 0) device_config_ = address;
  if (type == kNotify && notify_ == 0) {
    notify_ = address;
    notify_multiplier_ = function_.read32(static_cast<uint16_t>(capability + 16));
  }
  return true;
}

bool VirtioPci::open(const PciFunction& function) {
  function_ = function;
  for (uint8_t at = function.find_capability(kVendorCapability); at != 0;
       at = function.find_capability(kVendorCapability, at)) {
    if (!map_structure(at)) return false;
  }
  function.enable();
  return common_ != 0 && notify_ != 0 && device_config_ != 0;
}

uint8_t VirtioPci::status() const { return read_mmio<uint8_t>(common_ + kStatus); }

void VirtioPci::set_status(uint8_t status) { write_mmio<uint8_t>(common_ + kStatus, status); }

bool VirtioPci::negotiate(uint64_t wanted) {
  set_status(0);
  for (unsigned i = 0; i < 1000000 && status() != 0; ++i) relax();
  set_status(kAcknowledge);
  set_status(kAcknowledge | kDriver);
  write_mmio<uint32_t>(common_ + kDeviceFeatureSelect, 0);
  offered_ = read_mmio<uint32_t>(common_ + kDeviceFeature);
  write_mmio<uint32_t>(common_ + kDeviceFeatureSelect, 1);
  offered_ |= uint64_t{read_mmio<uint32_t>(common_ + kDeviceFeature)} << 32;
  features_ = offered_ & wanted;
  write_mmio<uint32_t>(common_ + kDriverFeatureSelect, 0);
  write_mmio<uint32_t>(common_ + kDriverFeature, static_cast<uint32_t>(features_));
  write_mmio<uint32_t>(common_ + kDriverFeatureSelect, 1);
  write_mmio<uint32_t>(common_ + kDriverFeature, static_cast<uint32_t>(features_ >> 32));
  set_status(kAcknowledge | kDriver | kFeaturesOk);
  return (status() & kFeaturesOk) != 0;
}

bool VirtioPci::set_config_vector(uint16_t msix_entry) {
  write_mmio<uint16_t>(common_ + kConfigVector, msix_entry);
  return read_mmio<uint16_t>(common_ + kConfigVector) != kNoVector;
}

bool VirtioPci::start_queue(uint16_t index, Virtqueue& queue, uint16_t msix_entry) {
  write_mmio<uint16_t>(common_ + kQueueSelect, index);
  uint16_t size = read_mmio<uint16_t>(common_ + kQueueSize);
  if (size == 0) return false;
  if (size > queue.most()) size = queue.most();
  write_mmio<uint16_t>(common_ + kQueueSize, size);
  const auto offset = read_mmio<uint16_t>(common_ + kQueueNotifyOffset);
  queue.init({.shape = {size, has(kEventIdxBit)},
              .packed = has(kPackedBit),
              .notify_address = notify_ + uint64_t{offset} * notify_multiplier_,
              .index = index});
  write64(common_ + kQueueDescriptors, queue.descriptor_address());
  write64(common_ + kQueueDriver, queue.driver_address());
  write64(common_ + kQueueDevice, queue.device_address());
  write_mmio<uint16_t>(common_ + kQueueVector, msix_entry);
  if (read_mmio<uint16_t>(common_ + kQueueVector) == kNoVector) return false;
  write_mmio<uint16_t>(common_ + kQueueEnable, 1);
  return true;
}

void VirtioPci::driver_ok() { set_status(kAcknowledge | kDriver | kFeaturesOk | kDriverOk); }

}  // namespace pagurus::guest
