#include "device/virtio_net/virtio_net.h"

#include <algorithm>

#include "base/log.h"
#include "device/virtio_net/features.h"

namespace pagurus::device {
namespace {

using Direction = QueuePair::Direction;

constexpr uint16_t kControlQueueSize = 64;
constexpr uint32_t kEthernetController = 0x020000;

// virtio 1.2, 5.1.4
constexpr uint16_t kNetStatusLinkUp = 1;
constexpr uint16_t kNetStatusAnnounce = 2;
constexpr uint32_t kNetSpeedUnknown = 0xffff'ffff;
constexpr uint8_t kNetDuplexUnknown = 0xff;

// Two for each pair, and the control queue at the end, if there is one.
std::vector<uint16_t> sizes_of_queues(const VirtioNetConfig& config, const net::Backend& backend) {
  std::vector<uint16_t> sizes;
  unsigned pairs = config.mq ? backend.queue_pairs() : 1;
  for (unsigned i = 0; i < pairs; ++i) sizes.insert(sizes.end(), {config.rx_queue_size, config.tx_queue_size});
  if (config.ctrl_vq) sizes.push_back(kControlQueueSize);
  return sizes;
}

}  // namespace

Result<std::unique_ptr<VirtioNet>> VirtioNet::create(const VirtioNetParts& parts) {
  std::unique_ptr<VirtioNet> net(new VirtioNet(parts, sizes_of_queues(parts.config, parts.backend)));
  TRY_DOING("device '" + parts.config.id + "'", net->build(parts));
  return net;
}

VirtioNet::VirtioNet(const VirtioNetParts& parts, std::vector<uint16_t> queue_sizes)
    : config_(parts.config),
      backend_(parts.backend),
      queue_sizes_(std::move(queue_sizes)),
      context_{.device_id = config_.id, .backend = backend_},
      on_rx_filter_changed_(parts.on_rx_filter_changed) {
  context_.filter.mac = config_.mac;
}

VirtioNet::~VirtioNet() {
  backend_.set_listener(nullptr);
  // They use each other.
  for (auto& pair : pairs_) pair->worker().freeze();
}

Result<void> VirtioNet::build(const VirtioNetParts& parts) {
  transport_ = TRY(virtio::PciTransport::create({.name = config_.id,
                                                 .class_code = kEthernetController,
                                                 .device = *this,
                                                 .memory = parts.memory,
                                                 .mmio = parts.mmio,
                                                 .msi = parts.msi,
                                                 .doorbells = parts.doorbells}));
  context_.transport = transport_.get();
  for (unsigned i = 0; i < queue_sizes_.size() / 2; ++i) pairs_.push_back(TRY(QueuePair::create(i, context_)));
  for (auto& pair : pairs_) context_.pairs.push_back(pair.get());
  if (net::RingServer* server = backend_.ring_server()) {
    ring_service_ = TRY(RingService::create(*server, *transport_, 2 * static_cast<unsigned>(pairs_.size())));
    for (auto& pair : pairs_) {
      TRY(pair->set_kicks(QueuePair::Kicks::kLeft));
      for (Direction direction : {Direction::kReceive, Direction::kTransmit}) {
        TRY(ring_service_->watch(pair->worker(), pair->queue(direction)));
      }
    }
  }
  for (auto& pair : pairs_) {
    if (config_.notf_coal && !ring_service_) TRY(pair->coalesce());
  }
  event::Worker& first = pairs_.front()->worker();
  if (ring_service_) TRY(first.add(ring_service_->error_fd(), EPOLLIN, [this](uint32_t) { on_ring_error(); }));
  if (config_.ctrl_vq) {
    control_index_ = static_cast<unsigned>(queue_sizes_.size()) - 1;
    TRY(first.add(transport_->kick_fd(control_index_), EPOLLIN, [this](uint32_t) { on_control_kick(); }));
  }
  announce_event_ = TRY(make_eventfd());
  TRY(first.add(announce_event_.get(), EPOLLIN, [this](uint32_t) { on_announce(); }));
  backend_.set_listener(this);
  return {};
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
  request_workers();
}

void VirtioNet::wait_frozen(net::PauseReason reason) {
  std::lock_guard lock(lock_);
  CHECK(paused_, "a freeze is requested before it is waited for");
  wait_for_workers();
  // The back end may be closed or given away while we are paused.
  for (auto& pair : pairs_) {
    pair->unwatch();
    pair->interrupt_now();
  }
  if (!ring_service_) return;
  ring_service_->pause(reason);
  auto whole = ring_service_->check_rings();
  if (whole || !serving()) return;
  context_.broken = true;
  transport_->needs_reset(whole.error().message().c_str());
  ring_service_->pause(net::PauseReason::kStop);
}

void VirtioNet::thaw() {
  std::lock_guard lock(lock_);
  if (!paused_) return;
  wait_for_workers();
  paused_ = false;
  for (auto& pair : pairs_) pair->try_backend_again();
  rouse();
  bool changed = renew_link();
  thaw_workers();
  if (changed) transport_->interrupt_config();
}

void VirtioNet::request_workers() {
  for (auto& pair : pairs_) pair->worker().request_freeze();
}

void VirtioNet::wait_for_workers() {
  pairs_.front()->worker().wait_frozen();
  // The first one may have let the others go on after they had been asked.
  request_workers();
  for (auto& pair : pairs_) pair->worker().wait_frozen();
}

void VirtioNet::thaw_workers() {
  for (size_t i = pairs_.size(); i-- > 0;) pairs_[i]->worker().thaw();
}

// No frame that a worker has in hand passes after we have returned.
void VirtioNet::change_still(const std::function<void()>& change) {
  request_workers();
  wait_for_workers();
  change();
  if (!paused_) thaw_workers();
}

void VirtioNet::rouse() {
  for (auto& pair : pairs_) pair->rouse();
  if (serving() && control_) look_again_at_control();
  if (ring_service_ && !paused_) serve_rings();
}

void VirtioNet::serve_rings() {
  if (!serving()) return;
  if (!context_.link_up) return ring_service_->pause(net::PauseReason::kStop);
  auto served = ring_service_->resume();
  if (served) return;
  log_error("{}: {}", config_.id, served.error().message());
  context_.broken = true;
  transport_->needs_reset("its rings cannot be served");
}

void VirtioNet::reset() {
  CHECK(pairs_.front()->worker().frozen(), "the machine resets its devices while they are frozen");
  transport_->reset();
}

bool VirtioNet::renew_link() {
  bool up = link_set_ && backend_.connected();
  bool changed = context_.link_up.exchange(up) != up;
  if (changed && ring_service_ && !paused_) serve_rings();
  return changed;
}

void VirtioNet::set_link(bool up) {
  bool changed = false;
  {
    std::lock_guard lock(lock_);
    link_set_ = up;
    change_still([&] { changed = renew_link(); });
  }
  if (changed) transport_->interrupt_config();
}

Result<void> VirtioNet::start_dirty_log() {
  if (!ring_service_) return {};
  std::lock_guard lock(lock_);
  Result<void> started;
  change_still([&] {
    started = ring_service_->start_log();
    if (!paused_) serve_rings();
  });
  return started;
}

void VirtioNet::collect_dirty() {
  if (ring_service_) ring_service_->collect_log();
}

void VirtioNet::stop_dirty_log() {
  if (!ring_service_) return;
  std::lock_guard lock(lock_);
  change_still([&] {
    ring_service_->stop_log();
    if (!paused_) serve_rings();
  });
}

void VirtioNet::hold_still(const std::function<void()>& change) {
  std::lock_guard lock(lock_);
  change_still([&] {
    for (auto& pair : pairs_) pair->unwatch();
    change();
    for (auto& pair : pairs_) pair->try_backend_again();
    if (!paused_) rouse();
  });
}

void VirtioNet::connection_changed() {
  bool changed = false;
  {
    std::lock_guard lock(lock_);
    // Whoever is paused tells the guest when it goes on.
    if (paused_) return;
    change_still([&] { changed = renew_link(); });
  }
  if (changed) transport_->interrupt_config();
}

void VirtioNet::renew_backend() {
  std::lock_guard lock(lock_);
  CHECK(paused_, "a back end is set up before the guest runs");
  if (!active_) return;
  // Slower, not wrong: the host then completes every frame itself, or uses one pair.
  if (backend_.vnet_header()) {
    auto set = backend_.set_offloads(net_offloads(features_ & ~offloads_off_));
    if (!set) log_warning("{}: {}", config_.id, set.error().message());
  }
  auto set = backend_.set_active_pairs(active_pairs_);
  if (!set) log_warning("{}: {}", config_.id, set.error().message());
}

bool VirtioNet::announce() {
  std::lock_guard lock(lock_);
  if (!active_ || (features_ & kNetGuestAnnounce) == 0) return false;
  announce_ = true;
  transport_->interrupt_config();
  return true;
}

void VirtioNet::announce_by_rarp() { signal_eventfd(announce_event_.get()); }

RxFilter VirtioNet::rx_filter() {
  std::lock_guard lock(settings_lock_);
  told_rx_filter_changed_ = false;
  return context_.filter;
}

NetCounters VirtioNet::counters() const {
  NetCounters sum{
      .kicks = control_kicks_, .interrupts = transport_->interrupts(), .guest_faults = transport_->guest_faults()};
  for (const PairCounters& pair : pair_counters()) {
    sum.rx_packets += pair.rx_packets;
    sum.rx_bytes += pair.rx_bytes;
    sum.rx_dropped += pair.rx_dropped;
    sum.rx_filtered += pair.rx_filtered;
    sum.tx_packets += pair.tx_packets;
    sum.tx_bytes += pair.tx_bytes;
    sum.tx_dropped += pair.tx_dropped;
    sum.kicks += pair.kicks;
  }
  return sum;
}

std::vector<PairCounters> VirtioNet::pair_counters() const {
  std::vector<PairCounters> counters;
  for (const auto& pair : pairs_) {
    counters.push_back(pair->counters().read());
    if (!ring_service_) continue;
    for (Direction direction : {Direction::kReceive, Direction::kTransmit}) {
      counters.back().interrupts += ring_service_->interrupts(pair->queue(direction));
    }
  }
  return counters;
}

// ---- the driver's side

uint64_t VirtioNet::features() const { return net_features(config_, backend_); }

bool VirtioNet::accepts(uint64_t features) const { return net_features_consistent(features); }

std::vector<uint8_t> VirtioNet::config_space() const {
  MacAddress mac{};
  {
    std::lock_guard lock(settings_lock_);
    mac = context_.filter.mac;
  }
  std::vector<uint8_t> space(mac.begin(), mac.end());
  bool has_hash = config_.rss || config_.hash;
  bool has_speed = config_.speed || config_.duplex || has_hash;
  space.resize(has_hash ? 24 : has_speed ? 17 : 12);
  unsigned status = (context_.link_up ? kNetStatusLinkUp : 0u) | (announce_ ? kNetStatusAnnounce : 0u);
  store_le<uint16_t>(space.data() + 6, static_cast<uint16_t>(status));
  store_le<uint16_t>(space.data() + 8, static_cast<uint16_t>(queue_sizes_.size() / 2));
  store_le<uint16_t>(space.data() + 10, config_.host_mtu);
  if (has_speed) {
    store_le<uint32_t>(space.data() + 12, config_.speed.value_or(kNetSpeedUnknown));
    space[16] = !config_.duplex ? kNetDuplexUnknown : *config_.duplex == schema::NetDuplex::kFull ? 1 : 0;
  }
  if (has_hash) {
    space[17] = kMaxRssKey;
    store_le<uint16_t>(space.data() + 18, kMaxRssTable);
    store_le<uint32_t>(space.data() + 20, kSupportedHashTypes);
  }
  return space;
}

Result<void> VirtioNet::activate(virtio::Activation activation) {
  std::lock_guard lock(lock_);
  Result<void> begun;
  change_still([&] {
    end_session();
    // What a restored driver had set follows with the device's own state.
    if (activation.origin == virtio::Origin::kDriver) reset_settings();
    begun = begin_session(activation);
    if (!paused_) rouse();
  });
  return begun;
}

void VirtioNet::deactivate() {
  std::lock_guard lock(lock_);
  change_still([&] {
    end_session();
    if (ring_service_) ring_service_->stop();
    reset_settings();
  });
}

void VirtioNet::reset_settings() {
  announce_ = false;
  std::lock_guard lock(settings_lock_);
  context_.filter = {};
  context_.filter.mac = config_.mac;
  context_.rss = {};
  context_.coalescing = {};
  active_pairs_ = 1;
  offloads_off_ = 0;
}

void VirtioNet::set_active(unsigned pairs) {
  if (ring_service_) return;
  for (size_t i = 0; i < pairs_.size(); ++i) {
    i < pairs ? pairs_[i]->enable() : pairs_[i]->disable();
  }
}

std::optional<virtio::QueuePosition> VirtioNet::position(unsigned queue) const {
  std::lock_guard lock(lock_);
  if (!active_) return std::nullopt;
  if (control_ && queue == control_index_) return control_->position();
  if (queue / 2 >= pairs_.size()) return std::nullopt;
  // While the back end serves, only it knows, and the first worker may be changing what it serves: whoever looks then
  // does not need to be told exactly.
  auto served = ring_service_ && paused_ ? ring_service_->position(queue) : std::nullopt;
  if (served) return served;
  return pairs_[queue / 2]->position(static_cast<Direction>(queue % 2));
}

Result<void> VirtioNet::begin_session(virtio::Activation& activation) {
  auto& queues = activation.queues;
  if (!queues[0] || !queues[1]) return fail("the driver enabled no queue pair");
  // A restored guest's back end is set up already, in what both processes share of it.
  if (activation.origin == virtio::Origin::kDriver) {
    if (backend_.vnet_header()) TRY(backend_.set_offloads(net_offloads(activation.features)));
    TRY(backend_.set_active_pairs(1));
  }
  TRY(place_control_queue(activation.features));
  bool controllable = config_.ctrl_vq && (activation.features & kNetCtrlVq) != 0;
  if (controllable && queues[control_index_]) {
    control_.emplace(*std::move(queues[control_index_]),
                     [this](const ControlCommand& command) { return execute(command); });
    queues[control_index_].reset();
  }
  size_t pairs = (activation.features & kNetManyPairs) != 0 ? pairs_.size() : 1;
  std::vector<net::Ring> rings;
  for (size_t i = 0; i < pairs; ++i) {
    auto& rx = queues[2 * i];
    auto& tx = queues[2 * i + 1];
    if (!rx || !tx) continue;
    if (ring_service_) {
      for (Direction direction : {Direction::kReceive, Direction::kTransmit}) {
        unsigned queue = pairs_[i]->queue(direction);
        if (activation.origin == virtio::Origin::kRestored) {
          TRY(ring_service_->take_signals(queue, pairs_[i]->worker()));
        }
        rings.push_back(ring_service_->describe(queue, direction == Direction::kReceive ? *rx : *tx));
      }
    }
    pairs_[i]->begin(*std::move(rx), *std::move(tx), activation.features, likely_frame(activation.features));
  }
  if (ring_service_) TRY(ring_service_->start(rings, activation.features, activation.origin));
  {
    std::lock_guard lock(settings_lock_);
    context_.filter.checks_vlans = (activation.features & kNetCtrlVlan) != 0;
  }
  set_active(active_pairs_);
  features_ = activation.features;
  active_ = true;
  return {};
}

void VirtioNet::end_session() {
  for (auto& pair : pairs_) pair->end();
  control_.reset();
  active_ = false;
  context_.broken = false;
}

// Queue 2 is the second pair's or the control queue, and the worker that serves it waits for its kicks.
Result<void> VirtioNet::place_control_queue(uint64_t features) {
  if (!config_.ctrl_vq) return {};
  unsigned index = (features & kNetManyPairs) != 0 ? static_cast<unsigned>(queue_sizes_.size()) - 1 : 2;
  if (index == control_index_) return {};
  event::Worker& first = pairs_.front()->worker();
  first.remove(transport_->kick_fd(control_index_));
  if (index == 2) TRY(pairs_[1]->set_kicks(QueuePair::Kicks::kLeft));
  control_index_ = index;
  TRY(first.add(transport_->kick_fd(index), EPOLLIN, [this](uint32_t) { on_control_kick(); }));
  bool left = index == 2 || ring_service_;
  return left ? Result<void>() : pairs_[1]->set_kicks(QueuePair::Kicks::kWatched);
}

size_t VirtioNet::likely_frame(uint64_t features) const {
  constexpr size_t kEthernet = 18;  // header and a VLAN tag
  constexpr uint64_t kLarge = kNetGuestTso4 | kNetGuestTso6 | kNetGuestUso4 | kNetGuestUso6;
  if ((features & kLarge) != 0) return kMaxNetFrame;
  return kNetHeaderBytes + kEthernet + std::max<size_t>(1500, config_.host_mtu);
}

// ---- section

void VirtioNet::save(vmstate::Writer& writer) const {
  std::lock_guard lock(lock_);
  VirtioNetState state{.link_up = link_set_, .announce = announce_};
  state.carrier = context_.link_up || !link_set_;
  // While a worker runs its frame is its own; a rehearsal does without.
  bool frozen = pairs_.front()->worker().frozen();
  if (frozen) state.held_frame = pairs_.front()->held_frame();
  for (size_t i = 1; frozen && i < pairs_.size(); ++i) state.further_held_frames.push_back(pairs_[i]->held_frame());
  auto& further = state.further_held_frames;
  while (!further.empty() && further.back().empty()) further.pop_back();
  {
    std::lock_guard settings(settings_lock_);
    const RxFilter& filter = context_.filter;
    state.promisc = filter.promisc;
    state.allmulti = filter.allmulti;
    state.alluni = filter.alluni;
    state.nomulti = filter.nomulti;
    state.nouni = filter.nouni;
    state.nobcast = filter.nobcast;
    if (filter.mac != config_.mac) state.mac.assign(filter.mac.begin(), filter.mac.end());
    state.unicast = filter.unicast;
    state.multicast = filter.multicast;
    state.unicast_overflow = filter.unicast_overflow;
    state.multicast_overflow = filter.multicast_overflow;
    state.vlans = filter.vlans;
    state.active_pairs = static_cast<uint16_t>(active_pairs_);
    state.offloads_off = offloads_off_;
    state.hash_types = context_.rss.types;
    state.hash_key = context_.rss.key;
    state.rss_table = context_.rss.table;
    state.rss_unclassified = context_.rss.unclassified;
    auto [rx, tx] = context_.coalescing;
    state.rx_max_packets = rx.max_packets;
    state.rx_max_usecs = rx.max_usecs;
    state.tx_max_packets = tx.max_packets;
    state.tx_max_usecs = tx.max_usecs;
  }
  if (config_.counters_move) {
    for (const PairCounters& pair : pair_counters()) state.counters.push_back(pair.numbers());
    state.control_kicks = control_kicks_;
  }
  vmstate::write_state(writer, state);
}

// What an active driver had set.
Result<void> VirtioNet::load_settings(VirtioNetState& state) {
  for (unsigned i = 0; i < state.active_pairs; ++i) {
    bool there = i < pairs_.size() && pairs_[i]->begun();
    if (!there) return fail("{} queue pairs are active, but pair {} has no queues", state.active_pairs, i);
  }
  if ((state.offloads_off & ~kNetGuestOffloads) != 0) {
    return fail("features {:#x} cannot be switched off", state.offloads_off);
  }
  Rss rss{.types = state.hash_types,
          .key = std::move(state.hash_key),
          .table = std::move(state.rss_table),
          .unclassified = state.rss_unclassified};
  bool negotiated = (features_ & (kNetRss | kNetHashReport)) != 0;
  if (!rss.valid() || rss.pairs() > state.active_pairs || (rss.types != 0 && !negotiated)) {
    return fail("frames are to be steered in a way that makes no sense");
  }
  CoalescingLimits rx{.max_packets = state.rx_max_packets, .max_usecs = state.rx_max_usecs};
  CoalescingLimits tx{.max_packets = state.tx_max_packets, .max_usecs = state.tx_max_usecs};
  if ((features_ & kNetNotfCoal) == 0 && (rx != CoalescingLimits{} || tx != CoalescingLimits{})) {
    return fail("interrupts are to wait though that was not negotiated");
  }
  {
    std::lock_guard settings(settings_lock_);
    context_.rss = std::move(rss);
    context_.coalescing = {rx, tx};
    context_.filter = {.promisc = state.promisc,
                       .allmulti = state.allmulti,
                       .alluni = state.alluni,
                       .nomulti = state.nomulti,
                       .nouni = state.nouni,
                       .nobcast = state.nobcast,
                       .mac = config_.mac,
                       .unicast = std::move(state.unicast),
                       .multicast = std::move(state.multicast),
                       .unicast_overflow = state.unicast_overflow,
                       .multicast_overflow = state.multicast_overflow,
                       .checks_vlans = (features_ & kNetCtrlVlan) != 0,
                       .vlans = std::move(state.vlans)};
    std::ranges::copy(state.mac, context_.filter.mac.begin());
    active_pairs_ = state.active_pairs;
    offloads_off_ = state.offloads_off;
  }
  set_active(active_pairs_);
  return {};
}

Result<void> VirtioNet::load(vmstate::Reader& reader) {
  auto state = TRY_DOING(config_.id, vmstate::read_state<VirtioNetState>(reader));
  std::lock_guard lock(lock_);
  CHECK(paused_, "a state is loaded into a frozen device");
  wait_for_workers();
  if (state.further_held_frames.size() >= pairs_.size()) {
    return fail("{}: frames for {} queue pairs where this device has {}", config_.id,
                state.further_held_frames.size() + 1, pairs_.size());
  }
  if (state.counters.size() > pairs_.size()) {
    return fail("{}: counters of {} queue pairs where this device has {}", config_.id, state.counters.size(),
                pairs_.size());
  }
  if (active_) {
    TRY_DOING(config_.id, load_settings(state));
  } else {
    reset_settings();
  }
  link_set_ = state.link_up;
  context_.link_up = state.link_up && state.carrier;
  announce_ = state.announce;
  for (size_t i = 0; i < state.counters.size(); ++i) pairs_[i]->go_on_counting(state.counters[i]);
  control_kicks_ = state.control_kicks;
  pairs_.front()->hold(std::move(state.held_frame));
  for (size_t i = 0; i < state.further_held_frames.size(); ++i) {
    pairs_[i + 1]->hold(std::move(state.further_held_frames[i]));
  }
  return {};
}

}  // namespace pagurus::device
