// Start-up: features, vectors, queues, pairs.

#include "guest/virtio_net.h"

#include "guest/boot_info.h"
#include "guest/interrupts.h"
#include "guest/lapic.h"

namespace pagurus::guest {
namespace {

constexpr uint16_t kVirtioVendor = 0x1af4;
constexpr uint16_t kModernNet = 0x1041;
constexpr uint16_t kTransitionalNet = 0x1000;

enum Feature : unsigned {
  kChecksum = 0,
  kGuestChecksum = 1,
  kControlGuestOffloads = 2,
  kMac = 5,
  kMergeable = 15,
  kStatus = 16,
  kControlQueue = 17,
  kControlRx = 18,
  kControlVlan = 19,
  kControlRxExtra = 20,
  kGuestAnnounce = 21,
  kMultiqueue = 22,
  kControlMac = 23,
  kEventIdx = 29,
  kVersion1 = 32,
  kRingPacked = 34,
};

// In the device's configuration (virtio 1.2, 5.1.4).
constexpr unsigned kStatusAt = 6;
constexpr unsigned kMaxPairsAt = 8;

constexpr unsigned kBuffers = 2048;
[[gnu::section(".noinit"), gnu::aligned(4096)]] QueuePair::Buffer buffers[kBuffers];
[[gnu::section(".noinit"), gnu::aligned(4096)]] uint8_t rings[2 * NetDevice::kMaxPairs + 1][Virtqueue::kMemorySize];

constinit NetDevice the_device;

constexpr uint64_t bit(unsigned feature) { return uint64_t{1} << feature; }

bool switched(TextView name, bool otherwise) { return boot_info().number(name, otherwise ? 1 : 0) != 0; }

// So that both rings of every pair have their buffers.
uint16_t largest_ring(unsigned pairs) {
  uint16_t most = Virtqueue::kMaxSize;
  while (2u * most * pairs > kBuffers) most = static_cast<uint16_t>(most / 2);
  return most;
}

}  // namespace

NetDevice& net_device() { return the_device; }

TextView NetDevice::explain(Status status) {
  switch (status) {
    case Status::ok: return "ok";
    case Status::no_device: return "no virtio-net PCI function found";
    case Status::no_capabilities: return "the virtio-net function lacks modern virtio capabilities";
    case Status::no_msix: return "the virtio-net function has fewer than two MSI-X vectors";
    case Status::features_refused: return "the device refused the features";
    case Status::queue_refused: return "a queue or its vector was refused";
    case Status::pairs_refused: return "the device refused to use that many queue pairs";
  }
  return "?";
}

uint64_t NetDevice::wanted_features(unsigned pairs) const {
  uint64_t wanted = bit(kVersion1) | bit(kMac) | bit(kStatus);
  if (switched("mrg", true)) wanted |= bit(kMergeable);
  if (switched("event_idx", true)) wanted |= bit(kEventIdx);
  if (switched("packed", false)) wanted |= bit(kRingPacked);
  if (switched("csum", false)) wanted |= bit(kChecksum) | bit(kGuestChecksum);
  if (pairs > 1) wanted |= bit(kMultiqueue);
  if (pairs > 1 || switched("ctrl", false)) {
    wanted |= bit(kControlQueue) | bit(kControlRx) | bit(kControlVlan) | bit(kControlRxExtra) | bit(kGuestAnnounce) |
              bit(kControlMac) | bit(kControlGuestOffloads);
  }
  return wanted;
}

NetDevice::Status NetDevice::start() {
  const auto number = static_cast<unsigned>(boot_info().number("nic", 0));
  auto pairs = static_cast<unsigned>(boot_info().number("queues", 1));
  if (pairs == 0) pairs = 1;
  if (pairs > kMaxPairs) pairs = kMaxPairs;
  const PciSearch search = find_pci_function(kVirtioVendor, kModernNet, kTransitionalNet, number);
  if (!search.found) return Status::no_device;
  if (!transport_.open(search.function)) return Status::no_capabilities;
  if (!msix_.open(search.function) || msix_.size() < 2) return Status::no_msix;
  if (!transport_.negotiate(wanted_features(pairs)) || !transport_.has(kVersion1)) return Status::features_refused;
  pair_count_ = pairs < max_pairs() ? pairs : max_pairs();
  msix_.enable();
  if (!start_queues()) return Status::queue_refused;
  read_mac();
  transport_.driver_ok();
  for (unsigned i = 0; i < pair_count_; ++i) {
    pairs_[i].fill(transport_.has(kGuestChecksum) && transport_.has(kChecksum));
  }
  return enable_pairs() ? Status::ok : Status::pairs_refused;
}

// A table with fewer entries than queues is shared by them.
bool NetDevice::start_queue(uint16_t index, Virtqueue& queue, uint8_t vector) {
  const auto entry = static_cast<uint16_t>(index % msix_.size());
  msix_.set(entry, lapic_id(), vector);
  return transport_.start_queue(index, queue, entry);
}

bool NetDevice::start_queues() {
  const uint16_t most = largest_ring(pair_count_);
  for (unsigned i = 0; i < pair_count_; ++i) {
    QueuePair& pair = pairs_[i];
    pair.set_memory({rings[2 * i], rings[2 * i + 1], buffers + i * 2 * most, most});
    if (!start_queue(static_cast<uint16_t>(2 * i), pair.rx(), static_cast<uint8_t>(kFirstRxVector + i))) return false;
    if (!start_queue(static_cast<uint16_t>(2 * i + 1), pair.tx(), static_cast<uint8_t>(kFirstTxVector + i)))
      return false;
  }
  // The control queue is behind all pairs that the device has, used or not (virtio 1.2, 5.1.2).
  auto next = static_cast<uint16_t>(2 * max_pairs());
  if (transport_.has(kControlQueue)) {
    control_.set_memory(rings[2 * kMaxPairs]);
    if (!start_queue(next++, control_.queue(), kControlVector)) return false;
    control_.start();
  }
  if (next >= msix_.size()) return true;
  msix_.set(next, lapic_id(), kConfigVector);
  return transport_.set_config_vector(next);
}

bool NetDevice::enable_pairs() {
  if (pair_count_ == 1) return true;
  const uint8_t set_pairs[] = {4, 0, static_cast<uint8_t>(pair_count_), 0};
  return control_.post(set_pairs, sizeof(set_pairs), 1, ControlQueue::Notify::now) && control_.wait() &&
         control_.acknowledgement() == 0;
}

void NetDevice::read_mac() {
  for (unsigned i = 0; i < 6; ++i) mac_.bytes[i] = read_mmio<uint8_t>(transport_.device_config() + i);
}

uint16_t NetDevice::link_status() const {
  return transport_.has(kStatus) ? read_mmio<uint16_t>(transport_.device_config() + kStatusAt) : 1;
}

uint16_t NetDevice::max_pairs() const {
  return transport_.has(kMultiqueue) ? read_mmio<uint16_t>(transport_.device_config() + kMaxPairsAt) : 1;
}

NetCounters NetDevice::counters() const {
  NetCounters sum = {};
  for (unsigned i = 0; i < pair_count_; ++i) {
    const NetCounters& c = pairs_[i].counters();
    sum.rx_frames += c.rx_frames;
    sum.rx_bytes += c.rx_bytes;
    sum.tx_frames += c.tx_frames;
    sum.tx_bytes += c.tx_bytes;
    sum.rx_offload_errors += c.rx_offload_errors;
    sum.rx_bad_length += c.rx_bad_length;
    sum.tx_full += c.tx_full;
  }
  return sum;
}

bool NetDevice::arm_interrupts() {
  for (unsigned i = 0; i < pair_count_; ++i) {
    if (!pairs_[i].arm_interrupts()) return false;
  }
  return !control_.pending() || control_.queue().arm_interrupt();
}

void NetDevice::flush() {
  for (unsigned i = 0; i < pair_count_; ++i) pairs_[i].flush();
}

}  // namespace pagurus::guest
