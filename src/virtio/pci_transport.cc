#include "virtio/pci_transport.h"

#include <algorithm>
#include <cstddef>

namespace pagurus::virtio {
namespace {

constexpr unsigned kRegisterBar = 0;
constexpr unsigned kMsixBar = 1;
constexpr uint32_t kPage = 0x1000;
constexpr uint32_t kCommonAt = 0;
constexpr uint32_t kIsrAt = kPage;
constexpr uint32_t kDeviceAt = 2 * kPage;
constexpr uint32_t kNotifyAt = 3 * kPage;
constexpr uint32_t kBarBytes = 4 * kPage;
constexpr uint32_t kNotifyMultiplier = 4;

// virtio 1.2, 4.1.4
constexpr uint8_t kVendorCapability = 0x09;
enum class Structure : uint8_t { kCommon = 1, kNotify = 2, kIsr = 3, kDevice = 4, kPciAccess = 5 };
constexpr uint16_t kAccessDataAt = 16;  // in the capability

constexpr uint8_t kIsrQueue = 1;
constexpr uint8_t kIsrConfig = 2;

pci::Identity identity(const PciTransportParts& parts) {
  return {.vendor = 0x1af4,
          .device = static_cast<uint16_t>(0x1040 + parts.device.type()),
          .subsystem_vendor = 0x1af4,
          .subsystem = 0x1100,
          .class_code = parts.class_code,
          .revision = 1};
}

// The body of a virtio capability, from cap_len on.
std::vector<uint8_t> capability(Structure structure, uint32_t offset, uint32_t length, size_t extra = 0) {
  std::vector<uint8_t> body(14 + extra);
  body[0] = static_cast<uint8_t>(2 + body.size());
  body[1] = static_cast<uint8_t>(structure);
  body[2] = kRegisterBar;
  store_le<uint32_t>(body.data() + 6, offset);
  store_le<uint32_t>(body.data() + 10, length);
  return body;
}

}  // namespace

Result<std::unique_ptr<PciTransport>> PciTransport::create(const PciTransportParts& parts) {
  std::unique_ptr<PciTransport> transport(new PciTransport(parts));
  TRY_DOING(parts.name, transport->build());
  return transport;
}

PciTransport::PciTransport(const PciTransportParts& parts)
    : name_(parts.name),
      device_(parts.device),
      memory_(parts.memory),
      doorbells_(parts.doorbells),
      function_(parts.name, identity(parts), parts.mmio) {
  // One vector for the configuration and one per queue.
  auto vectors = static_cast<uint16_t>(device_.queue_sizes().size() + 1);
  function_.add_bar(kRegisterBar, kBarBytes, registers_, &registers_);
  msix_ = &function_.add_msix(kMsixBar, vectors, parts.msi);
}

PciTransport::~PciTransport() = default;

Result<void> PciTransport::build() {
  CHECK(device_.queue_sizes().size() <= kMaxQueues, "a device has few queues");
  for (uint16_t size : device_.queue_sizes()) {
    auto queue = std::make_unique<QueueRegisters>();
    queue->config.size = size;
    queue->kick = TRY(make_eventfd());
    queues_.push_back(std::move(queue));
  }
  add_capabilities();
  return {};
}

void PciTransport::add_capabilities() {
  function_.add_capability(kVendorCapability, capability(Structure::kCommon, kCommonAt, 0x38 + 8));
  auto notify_bytes = static_cast<uint32_t>(queues_.size() * kNotifyMultiplier);
  auto notify = capability(Structure::kNotify, kNotifyAt, notify_bytes, 4);
  store_le<uint32_t>(notify.data() + 14, kNotifyMultiplier);
  function_.add_capability(kVendorCapability, notify);
  function_.add_capability(kVendorCapability, capability(Structure::kIsr, kIsrAt, 1));
  auto config_bytes = static_cast<uint32_t>(device_.config_space().size());
  function_.add_capability(kVendorCapability, capability(Structure::kDevice, kDeviceAt, config_bytes));
  // The driver writes which register it means: bar, offset and length.
  auto access = capability(Structure::kPciAccess, 0, 0, 4);
  std::vector<uint8_t> writable(access.size());
  writable[2] = 0xff;
  std::fill_n(writable.begin() + 6, 8, 0xff);
  access_capability_ = function_.add_capability(kVendorCapability, access, writable);
  function_.add_window(static_cast<uint16_t>(access_capability_ + kAccessDataAt), 4, config_access_);
}

void PciTransport::reset() {
  {
    std::lock_guard lock(lock_);
    reset_device();
  }
  function_.reset();
}

void PciTransport::fault(const char* what) {
  if (faults_.note()) log_warning("{}: the guest's driver misbehaves: {}", name_, what);
}

void PciTransport::interrupt_queue(unsigned queue) {
  interrupts_.fetch_add(1, std::memory_order_relaxed);
  // With MSI-X the driver does not read the ISR for queues (virtio 1.2, 4.1.4.5.1).
  if (!msix_->enabled()) isr_.fetch_or(kIsrQueue);
  msix_->notify(queues_[queue]->vector);
}

// On the control thread, as every load of a state.
void PciTransport::replace_kick(unsigned queue, UniqueFd kick) {
  registers_.detach(queue);
  queues_[queue]->kick = std::move(kick);
  registers_.attach(queue);
}

void PciTransport::interrupt_config() {
  config_generation_.fetch_add(1);
  isr_.fetch_or(kIsrConfig);
  interrupts_.fetch_add(1, std::memory_order_relaxed);
  msix_->notify(config_vector_);
}

void PciTransport::needs_reset(const char* why) {
  fault(why);
  uint8_t before = status_.fetch_or(kStatusNeedsReset);
  if ((before & kStatusDriverOk) != 0 && (before & kStatusNeedsReset) == 0) interrupt_config();
}

// ---- BAR 0

uint64_t PciTransport::Registers::io_read(uint64_t offset, unsigned size) {
  uint64_t at = offset % kPage;
  switch (offset - at) {
    case kCommonAt: return transport_.common_read(at, size);
    case kIsrAt: return at == 0 ? transport_.isr_.exchange(0) : 0;
    case kDeviceAt: {
      auto config = transport_.device_.config_space();
      uint64_t value = 0;
      for (unsigned i = 0; i < size && at + i < config.size(); ++i) value |= uint64_t{config[at + i]} << (8 * i);
      return value;
    }
    default: return 0;
  }
}

void PciTransport::Registers::io_write(uint64_t offset, unsigned size, uint64_t value) {
  uint64_t at = offset % kPage;
  switch (offset - at) {
    case kCommonAt: transport_.common_write(at, size, value); return;
    case kNotifyAt:
      if (at / kNotifyMultiplier < transport_.queues_.size()) {
        signal_eventfd(transport_.kick_fd(static_cast<unsigned>(at / kNotifyMultiplier)));
      }
      return;
    default: return;
  }
}

void PciTransport::Registers::bar_mapped(memory::GuestAddress base) {
  base_ = base;
  attached_.assign(transport_.queues_.size(), false);
  for (unsigned i = 0; i < attached_.size(); ++i) attach(i);
}

void PciTransport::Registers::bar_unmapped(memory::GuestAddress) {
  for (unsigned i = 0; i < attached_.size(); ++i) detach(i);
  attached_.clear();
}

void PciTransport::Registers::attach(unsigned queue) {
  if (attached_.empty()) return;
  auto attached =
      transport_.doorbells_.attach(base_ + kNotifyAt + queue * kNotifyMultiplier, transport_.kick_fd(queue));
  attached_[queue] = attached.has_value();
  // Slower, not wrong: the write traps to us instead.
  if (!attached) log_warning("{}: {}", transport_.name_, attached.error().message());
}

void PciTransport::Registers::detach(unsigned queue) {
  if (attached_.empty() || !attached_[queue]) return;
  transport_.doorbells_.detach(base_ + kNotifyAt + queue * kNotifyMultiplier, transport_.kick_fd(queue));
  attached_[queue] = false;
}

// ---- PCI configuration access capability

PciTransport::ConfigAccess::Target PciTransport::ConfigAccess::target() const {
  uint16_t at = transport_.access_capability_;
  auto& function = transport_.function_;
  uint32_t bar = function.config_read(static_cast<uint16_t>(at + 4), 1);
  uint32_t offset = function.config_read(static_cast<uint16_t>(at + 8), 4);
  uint32_t length = function.config_read(static_cast<uint16_t>(at + 12), 4);
  uint32_t bytes = function.bar_size(bar);
  if ((length != 1 && length != 2 && length != 4) || offset % length != 0) return {};
  if (bytes == 0 || offset > bytes - length) return {};
  return {.handler = function.bar_handler(bar), .offset = offset, .size = length};
}

uint64_t PciTransport::ConfigAccess::io_read(uint64_t, unsigned) {
  Target to = target();
  return to.handler == nullptr ? ~uint64_t{0} : to.handler->io_read(to.offset, to.size);
}

void PciTransport::ConfigAccess::io_write(uint64_t, unsigned, uint64_t value) {
  Target to = target();
  if (to.handler == nullptr) return;
  to.handler->io_write(to.offset, to.size, value & (UINT64_MAX >> (64 - 8 * to.size)));
}

// ---- section

const vmstate::Description& PciTransport::description() const { return TransportState::description(); }

TransportState PciTransport::snapshot() const {
  TransportState state{.offered_features = device_.features(),
                       .driver_features = driver_features_,
                       .device_feature_select = device_feature_select_,
                       .driver_feature_select = driver_feature_select_,
                       .queue_select = queue_select_,
                       .config_vector = config_vector_,
                       .status = status_,
                       .isr = isr_,
                       .config_generation = config_generation_};
  for (unsigned i = 0; i < queues_.size(); ++i) {
    const QueueConfig& config = queues_[i]->config;
    QueueState queue{.size = config.size,
                     .enabled = config.enabled,
                     .vector = queues_[i]->vector,
                     .descriptors = config.descriptors.value,
                     .avail = config.avail.value,
                     .used = config.used.value};
    if (auto position = device_.position(i)) {
      queue.next_avail = position->avail;
      queue.next_used = position->used;
    }
    state.queues.push_back(queue);
  }
  return state;
}

void PciTransport::save(vmstate::Writer& writer) const {
  std::lock_guard lock(lock_);
  vmstate::write_state(writer, snapshot());
}

Result<void> PciTransport::check_state(const TransportState& state) const {
  if (state.queues.size() != queues_.size()) {
    return fail("{} queues where this device has {}", state.queues.size(), queues_.size());
  }
  // A driver that is still choosing has been promised what the source offered.
  bool agreed = (state.status & kStatusFeaturesOk) != 0;
  bool choosing = !agreed && (state.status & kStatusDriver) != 0;
  if (!agreed && (state.status & kStatusDriverOk) != 0) return fail("a driver is up that has agreed on no features");
  uint64_t promised = agreed ? state.driver_features : choosing ? state.offered_features : 0;
  uint64_t lacking = promised & ~device_.features();
  if (lacking != 0) {
    auto error = fail("the guest uses features {:#x} that this device or its back end lacks", lacking).error();
    return std::unexpected(
        std::move(error).remedy("start the destination with the same properties and an equally able back end"));
  }
  return {};
}

Result<void> PciTransport::load(vmstate::Reader& reader) {
  auto state = TRY_DOING(name_, vmstate::read_state<TransportState>(reader));
  std::lock_guard lock(lock_);
  TRY_DOING(name_, check_state(state));
  std::vector<QueuePosition> positions;
  for (size_t i = 0; i < queues_.size(); ++i) {
    const QueueState& from = state.queues[i];
    queues_[i]->config = {.size = from.size,
                          .enabled = from.enabled,
                          .descriptors = {from.descriptors},
                          .avail = {from.avail},
                          .used = {from.used}};
    queues_[i]->vector = checked_vector(from.vector);
    positions.push_back({.avail = from.next_avail, .used = from.next_used});
  }
  device_feature_select_ = state.device_feature_select;
  driver_feature_select_ = state.driver_feature_select;
  queue_select_ = state.queue_select;
  driver_features_ = state.driver_features;
  config_vector_ = checked_vector(state.config_vector);
  isr_ = state.isr;
  config_generation_ = state.config_generation;
  status_ = state.status;
  bool up = (state.status & kStatusDriverOk) != 0 && (state.status & kStatusNeedsReset) == 0;
  if (!up) {
    if (active_) device_.deactivate();
    active_ = false;
    return {};
  }
  auto queues = TRY_DOING(name_, make_queues(positions));
  active_ = true;
  TRY_DOING(name_,
            device_.activate({.features = driver_features_, .queues = std::move(queues), .origin = Origin::kRestored}));
  return {};
}

}  // namespace pagurus::virtio
