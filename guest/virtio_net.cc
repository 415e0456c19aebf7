// Start-up, buffer management and sending.

#include "guest/virtio_net.h"

#include "guest/boot_info.h"
#include "guest/interrupts.h"
#include "guest/lapic.h"

namespace pagurus::guest {
namespace {

constexpr uint16_t kVirtioVendor = 0x1af4;
constexpr uint16_t kModernNet = 0x1041;
constexpr uint16_t kTransitionalNet = 0x1000;

constexpr unsigned kFeatureMac = 5;
constexpr unsigned kFeatureMergeable = 15;
constexpr unsigned kFeatureStatus = 16;
constexpr unsigned kFeatureEventIdx = 29;
constexpr unsigned kFeatureVersion1 = 32;

enum MsixEntry : uint16_t { kRxEntry = 0, kTxEntry = 1, kConfigEntry = 2 };

constexpr unsigned kBuffers = 2 * Virtqueue::kMaxSize;
[[gnu::section(".noinit"), gnu::aligned(4096)]] uint8_t buffers[kBuffers][2048];
[[gnu::section(".noinit"), gnu::aligned(4096)]] uint8_t rx_ring[Virtqueue::memory_size()];
[[gnu::section(".noinit"), gnu::aligned(4096)]] uint8_t tx_ring[Virtqueue::memory_size()];

constinit NetDevice the_device;

uint64_t wanted_features() {
  uint64_t wanted = uint64_t{1} << kFeatureVersion1 | 1u << kFeatureMac | 1u << kFeatureStatus;
  if (boot_info().number("mrg", 1) != 0) wanted |= 1u << kFeatureMergeable;
  if (boot_info().number("event_idx", 1) != 0) wanted |= 1u << kFeatureEventIdx;
  return wanted;
}

}  // namespace

NetDevice& net_device() { return the_device; }

TextView NetDevice::explain(Status status) {
  switch (status) {
    case Status::ok:
      return "ok";
    case Status::no_device:
      return "no virtio-net PCI function found";
    case Status::no_capabilities:
      return "the virtio-net function lacks modern virtio capabilities";
    case Status::no_msix:
      return "the virtio-net function has fewer than two MSI-X vectors";
    case Status::features_refused:
      return "the device refused the features";
    case Status::queue_refused:
      return "a queue or its vector was refused";
  }
  return "?";
}

uint8_t* NetDevice::buffer(uint16_t index) const { return buffers[index]; }

NetDevice::Status NetDevice::start() {
  const auto number = static_cast<unsigned>(boot_info().number("nic", 0));
  const PciSearch search = find_pci_function(kVirtioVendor, kModernNet, kTransitionalNet, number);
  if (!search.found) return Status::no_device;
  if (!transport_.open(search.function)) return Status::no_capabilities;
  if (!msix_.open(search.function) || msix_.size() < 2) return Status::no_msix;
  if (!transport_.negotiate(wanted_features()) || !transport_.has(kFeatureVersion1)) return Status::features_refused;
  msix_.set(kRxEntry, lapic_id(), kRxVector);
  msix_.set(kTxEntry, lapic_id(), kTxVector);
  if (msix_.size() > kConfigEntry) msix_.set(kConfigEntry, lapic_id(), kConfigVector);
  msix_.enable();
  if (msix_.size() > kConfigEntry && !transport_.set_config_vector(kConfigEntry)) return Status::queue_refused;
  rx_.set_memory(rx_ring);
  tx_.set_memory(tx_ring);
  if (!transport_.start_queue(0, rx_, kRxEntry)) return Status::queue_refused;
  if (!transport_.start_queue(1, tx_, kTxEntry)) return Status::queue_refused;
  for (unsigned i = 0; i < 6; ++i) mac_.bytes[i] = read_mmio<uint8_t>(transport_.device_config() + i);
  transport_.driver_ok();
  fill_rings();
  return Status::ok;
}

void NetDevice::fill_rings() {
  for (uint16_t i = 0; i < rx_.size(); ++i) post_receive(i, i);
  for (auto i = rx_.size(); i < kBuffers; ++i) spare_[spare_count_++] = i;
  for (uint16_t i = 0; i < tx_.size(); ++i) tx_free_list_[tx_free_++] = i;
  rx_.kick();
}

bool NetDevice::link_up() const {
  return !transport_.has(kFeatureStatus) || (read_mmio<uint16_t>(transport_.device_config() + 6) & 1) != 0;
}

void NetDevice::post_receive(uint16_t descriptor, uint16_t buffer_index) {
  rx_buffer_[descriptor] = buffer_index;
  rx_.post(descriptor, reinterpret_cast<uint64_t>(buffer(buffer_index)), kBufferSize,
           Virtqueue::Direction::device_writes);
}

void NetDevice::reclaim() {
  while (tx_.has_used()) {
    const auto descriptor = static_cast<uint16_t>(tx_.take_used().descriptor & (Virtqueue::kMaxSize - 1));
    spare_[spare_count_++] = tx_buffer_[descriptor];
    tx_free_list_[tx_free_++] = descriptor;
  }
}

void NetDevice::send(uint16_t buffer_index, uint32_t size) {
  auto* words = reinterpret_cast<uint32_t*>(buffer(buffer_index));
  words[0] = words[1] = words[2] = 0;  // no offload
  const uint16_t descriptor = tx_free_list_[--tx_free_];
  tx_buffer_[descriptor] = buffer_index;
  tx_.post(descriptor, reinterpret_cast<uint64_t>(words), kHeaderSize + size, Virtqueue::Direction::device_reads);
  ++counters_.tx_frames;
  counters_.tx_bytes += size;
}

bool NetDevice::acceptable(const Header& header, uint32_t length) {
  if (length < kHeaderSize + 14 || length > kBufferSize || header.buffer_count > 1) {
    ++counters_.rx_bad_length;
    return false;
  }
  // DATA_VALID (2) is harmless; everything else was not negotiated.
  if ((header.flags & ~2) != 0 || header.gso_type != 0) {
    ++counters_.rx_offload_errors;
    return false;
  }
  ++counters_.rx_frames;
  counters_.rx_bytes += length - kHeaderSize;
  return true;
}

bool NetDevice::arm_interrupts() {
  if (tx_free_ == 0) {
    // Only a completed transmission helps; what was received waits for it.
    if (!tx_.arm_interrupt()) return false;
    return true;
  }
  return rx_.arm_interrupt();
}

void NetDevice::disarm_interrupts() {
  rx_.disarm_interrupt();
  tx_.disarm_interrupt();
}

void NetDevice::flush() {
  for (unsigned i = 0; i < 200000 && tx_free_ != tx_.size(); ++i) {
    reclaim();
    relax();
  }
}

}  // namespace pagurus::guest
