#include "device/virtio_net/virtio_net.h"

#include "base/log.h"
#include "device/virtio_net/features.h"

namespace pagurus::device {
namespace {

constexpr unsigned kReceiveQueue = 0;
constexpr unsigned kTransmitQueue = 1;
constexpr unsigned kControlQueue = 2;
constexpr uint16_t kControlQueueSize = 64;
constexpr uint32_t kEthernetController = 0x020000;

// virtio 1.2, 5.1.4
constexpr uint16_t kNetStatusLinkUp = 1;
constexpr uint16_t kNetStatusAnnounce = 2;

}  // namespace

Result<std::unique_ptr<VirtioNet>> VirtioNet::create(const VirtioNetParts& parts) {
  std::vector<uint16_t> sizes{parts.config.rx_queue_size, parts.config.tx_queue_size};
  if (parts.config.guest_announce) sizes.push_back(kControlQueueSize);
  std::unique_ptr<VirtioNet> net(new VirtioNet(parts, std::move(sizes)));
  TRY_DOING("device '" + parts.config.id + "'", net->build(parts));
  return net;
}

VirtioNet::VirtioNet(const VirtioNetParts& parts, std::vector<uint16_t> queue_sizes)
    : config_(parts.config), backend_(parts.backend), queue_sizes_(std::move(queue_sizes)) {}

VirtioNet::~VirtioNet() = default;

Result<void> VirtioNet::build(const VirtioNetParts& parts) {
  transport_ = TRY(virtio::PciTransport::create({.name = config_.id,
                                                 .class_code = kEthernetController,
                                                 .device = *this,
                                                 .memory = parts.memory,
                                                 .mmio = parts.mmio,
                                                 .msi = parts.msi,
                                                 .doorbells = parts.doorbells}));
  worker_ = TRY(event::Worker::create("net/" + config_.id));
  for (unsigned i = 0; i < queue_sizes_.size(); ++i) {
    TRY(worker_->add(transport_->kick_fd(i), EPOLLIN, [this, i](uint32_t) { on_kick(i); }));
  }
  announce_event_ = TRY(make_eventfd());
  return worker_->add(announce_event_.get(), EPOLLIN, [this](uint32_t) { on_announce(); });
}

std::vector<NamedSection> VirtioNet::sections() {
  return {{.name = config_.id + "/pci", .section = transport_->function()},
          {.name = config_.id + "/virtio", .section = *transport_},
          {.name = config_.id + "/net", .section = *this}};
}

// ---- the machine's side

void VirtioNet::request_freeze() {
  std::lock_guard lock(lock_);
  paused_ = true;
  worker_->request_freeze();
}

void VirtioNet::wait_frozen() {
  std::lock_guard lock(lock_);
  CHECK(paused_, "a freeze is requested before it is waited for");
  worker_->wait_frozen();
  // The back end may be closed or given away while we are paused.
  unwatch();
}

void VirtioNet::thaw() {
  std::lock_guard lock(lock_);
  if (!paused_) return;
  worker_->wait_frozen();
  paused_ = false;
  backend_failed_ = false;
  rouse();
  worker_->thaw();
}

void VirtioNet::reset() {
  CHECK(worker_->frozen(), "the machine resets its devices while they are frozen");
  transport_->reset();
}

void VirtioNet::set_link(bool up) {
  bool changed = false;
  {
    std::lock_guard lock(lock_);
    // No frame that the worker has in hand passes after we have returned.
    worker_->freeze();
    changed = link_up_.exchange(up) != up;
    if (!paused_) worker_->thaw();
  }
  if (changed) transport_->interrupt_config();
}

void VirtioNet::renew_offloads() {
  std::lock_guard lock(lock_);
  CHECK(paused_, "a back end is set up before the guest runs");
  if (!session_) return;
  auto set = backend_.set_offloads(net_offloads(session_->features));
  // Slower, not wrong: the host then completes every frame itself.
  if (!set) log_warning("{}: {}", config_.id, set.error().message());
}

bool VirtioNet::announce() {
  std::lock_guard lock(lock_);
  if (!session_ || (session_->features & kNetGuestAnnounce) == 0) return false;
  announce_ = true;
  transport_->interrupt_config();
  return true;
}

void VirtioNet::announce_by_rarp() { signal_eventfd(announce_event_.get()); }

NetCounters VirtioNet::counters() const {
  return {.rx_packets = counters_.rx_packets,
          .rx_bytes = counters_.rx_bytes,
          .rx_dropped = counters_.rx_dropped,
          .tx_packets = counters_.tx_packets,
          .tx_bytes = counters_.tx_bytes,
          .tx_dropped = counters_.tx_dropped,
          .kicks = counters_.kicks,
          .interrupts = transport_->interrupts(),
          .guest_faults = transport_->guest_faults()};
}

// ---- the driver's side

uint64_t VirtioNet::features() const { return net_features(config_, backend_); }

bool VirtioNet::accepts(uint64_t features) const { return net_features_consistent(features); }

std::vector<uint8_t> VirtioNet::config_space() const {
  std::vector<uint8_t> space(config_.mac.begin(), config_.mac.end());
  space.resize(12);
  unsigned status = (link_up_ ? kNetStatusLinkUp : 0u) | (announce_ ? kNetStatusAnnounce : 0u);
  store_le<uint16_t>(space.data() + 6, static_cast<uint16_t>(status));
  store_le<uint16_t>(space.data() + 8, 1);  // queue pairs
  store_le<uint16_t>(space.data() + 10, config_.host_mtu);
  return space;
}

Result<void> VirtioNet::activate(virtio::Activation activation) {
  std::lock_guard lock(lock_);
  worker_->freeze();
  end_session();
  auto begun = begin_session(activation);
  if (!paused_) {
    rouse();
    worker_->thaw();
  }
  return begun;
}

void VirtioNet::deactivate() {
  std::lock_guard lock(lock_);
  worker_->freeze();
  end_session();
  announce_ = false;
  if (!paused_) worker_->thaw();
}

std::optional<virtio::QueuePosition> VirtioNet::position(unsigned queue) const {
  std::lock_guard lock(lock_);
  if (!session_) return std::nullopt;
  switch (queue) {
    case kReceiveQueue: return session_->rx.position();
    case kTransmitQueue: return session_->tx.position();
    default: return session_->control ? std::optional(session_->control->position()) : std::nullopt;
  }
}

Result<void> VirtioNet::begin_session(virtio::Activation& activation) {
  auto& queues = activation.queues;
  if (!queues[kReceiveQueue] || !queues[kTransmitQueue]) return fail("the driver enabled no queue pair");
  // A restored guest's offloads are set already, on the file description that both processes share.
  if (activation.origin == virtio::Origin::kDriver && backend_.vnet_header()) {
    TRY(backend_.set_offloads(net_offloads(activation.features)));
  }
  std::optional<virtio::Queue> control;
  bool controllable = queues.size() > kControlQueue && (activation.features & kNetCtrlVq) != 0;
  if (controllable && queues[kControlQueue]) control.emplace(*std::move(queues[kControlQueue]));
  session_ = std::make_unique<Session>(*std::move(queues[kReceiveQueue]), *std::move(queues[kTransmitQueue]),
                                       std::move(control));
  session_->features = activation.features;
  Receiver::Mode mode{.mergeable = (activation.features & kNetMrgRxbuf) != 0,
                      .backend_header = backend_.vnet_header(),
                      .likely_frame = likely_frame(activation.features)};
  session_->receiver.emplace(session_->rx, backend_.port(0), mode, counters_);
  session_->transmitter.emplace(session_->tx, backend_.port(0),
                                backend_.vnet_header() ? Transmitter::Header::kVirtioNet : Transmitter::Header::kNone,
                                counters_);
  return {};
}

void VirtioNet::end_session() {
  unwatch();
  session_.reset();
}

size_t VirtioNet::likely_frame(uint64_t features) const {
  constexpr size_t kEthernet = 18;  // header and a VLAN tag
  if ((features & (kNetGuestTso4 | kNetGuestTso6)) != 0) return kMaxNetFrame;
  return kNetHeaderBytes + kEthernet + std::max<size_t>(1500, config_.host_mtu);
}

void VirtioNet::rouse() {
  if (!serving()) return;
  for (unsigned i = 0; i < queue_sizes_.size(); ++i) signal_eventfd(transport_->kick_fd(i));
  update_watch();
}

// ---- section

void VirtioNet::save(vmstate::Writer& writer) const {
  std::lock_guard lock(lock_);
  VirtioNetState state{.link_up = link_up_, .announce = announce_};
  // While the worker runs the frame is its own; a rehearsal does without.
  if (session_ && worker_->frozen()) state.held_frame = session_->receiver->held_frame();
  vmstate::write_state(writer, state);
}

Result<void> VirtioNet::load(vmstate::Reader& reader) {
  auto state = TRY_DOING(config_.id, vmstate::read_state<VirtioNetState>(reader));
  std::lock_guard lock(lock_);
  CHECK(paused_, "a state is loaded into a frozen device");
  worker_->wait_frozen();
  link_up_ = state.link_up;
  announce_ = state.announce;
  if (session_) session_->receiver->hold(std::move(state.held_frame));
  return {};
}

}  // namespace pagurus::device
