#include "net/vhost_user/vhost_user.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string_view>

namespace pagurus::net {
namespace {

using vhost_user::Peer;

constexpr bool has(uint64_t features, unsigned number) { return (features >> number & 1) != 0; }
// Both a feature of the driver's frames and the one of the device's.
constexpr bool has_both(uint64_t features, unsigned host, unsigned guest) {
  return has(features, host) && has(features, guest);
}

// What a driver that has accepted these features receives.
Offloads offloads_of(uint64_t features) {
  return {.csum = has(features, 1),
          .tso4 = has(features, 7),
          .tso6 = has(features, 8),
          .ecn = has(features, 9),
          .ufo = has(features, 10),
          .uso4 = has(features, 54),
          .uso6 = has(features, 55)};
}

bool same_ring(const Ring& a, const Ring& b) {
  return a.queue == b.queue && a.size == b.size && a.descriptors == b.descriptors && a.driver == b.driver &&
         a.device == b.device;
}

// One that make_eventfd() could have made.
Result<void> check_eventfd(int fd) {
  std::array<char, 64> target;
  ssize_t size = ::readlink(fmt::format("/proc/self/fd/{}", fd).c_str(), target.data(), target.size());
  int flags = ::fcntl(fd, F_GETFL);
  if (size < 0 || flags < 0) return fail_errno(errno, "cannot examine file descriptor {}", fd);
  bool eventfd = std::string_view(target.data(), static_cast<size_t>(size)) == "anon_inode:[eventfd]";
  if (!eventfd || (flags & O_NONBLOCK) == 0) return fail("file descriptor {} is not a non-blocking eventfd", fd);
  return {};
}

Result<void> check_signals(const VhostUserSignals& signals) {
  TRY(check_eventfd(signals.kick.get()));
  return check_eventfd(signals.call.get());
}

}  // namespace

Result<VhostUserConfig> VhostUserConfig::from(const std::string& id, const schema::NetdevVhostUserOptions& options,
                                              std::span<const schema::ChardevOptions> chardevs) {
  std::string doing = fmt::format("netdev '{}'", id);
  int64_t queues = options.queues.value_or(1);
  if (queues < 1 || queues > kMaxQueuePairs) return fail("{}: queues={} is not 1 to {}", doing, queues, kMaxQueuePairs);
  return VhostUserConfig{.id = id,
                         .socket = TRY_DOING(doing, vhost_user::SocketConfig::from(options.chardev, chardevs)),
                         .queue_pairs = static_cast<unsigned>(queues)};
}

VhostUser::VhostUser(VhostUserConfig config, const NetdevParts& parts)
    : config_(std::move(config)), parts_(parts), socket_(config_.socket, parts_.named_fds, parts_.loop) {}

VhostUser::~VhostUser() = default;

Result<void> VhostUser::open() {
  CHECK(pending(), "a back end is opened once");
  std::string doing = fmt::format("netdev '{}': chardev '{}'", config_.id, config_.socket.chardev);
  auto socket = TRY_DOING(doing, socket_.open(parts_.patience));
  peer_ = TRY_DOING(doing, Peer::greet(std::move(socket), config_.queue_pairs));
  guest_offers_ = peer_->terms().offered;
  connected_ = true;
  pending_ = false;
  parts_.observer.vhost_user_connected(config_.id, config_.socket.chardev);
  return {};
}

Result<void> VhostUser::ram_ready(const memory::GuestMemory& memory) {
  memory_ = &memory;
  // What is pending may come with a peer that knows it.
  if (pending_ || !peer_) return {};
  TRY_DOING(fmt::format("netdev '{}': chardev '{}'", config_.id, config_.socket.chardev), peer_->set_ram(memory));
  return {};
}

Offloads VhostUser::offloads() const {
  // The numbers of VIRTIO_NET_F_* (virtio 1.2, 5.1.3).
  return {.csum = has_both(guest_offers_, 0, 1),
          .tso4 = has_both(guest_offers_, 11, 7),
          .tso6 = has_both(guest_offers_, 12, 8),
          .ecn = has_both(guest_offers_, 13, 9),
          .ufo = has_both(guest_offers_, 14, 10),
          .uso4 = has_both(guest_offers_, 56, 54),
          .uso6 = has_both(guest_offers_, 56, 55)};
}

// They are among the features, which a peer is told before it serves.
Result<void> VhostUser::set_offloads(const Offloads& offloads) {
  if (!rings_.empty() && offloads != offloads_of(features_)) {
    return fail("netdev '{}': a vhost-user peer does not change its offloads while it serves", config_.id);
  }
  return {};
}

Result<void> VhostUser::set_active_pairs(unsigned pairs) {
  active_pairs_ = pairs;
  if (!usable() || served_.empty()) return {};
  if (auto enabled = enable_pairs(); !enabled) lose(enabled.error());
  return {};
}

// --- Connections ------------------------------------------------------------------------------

void VhostUser::warn(const std::string& what) {
  if (faults_.note()) log_warning("netdev '{}': chardev '{}': {}", config_.id, config_.socket.chardev, what);
}

void VhostUser::lose(const Error& why) {
  warn(why.message());
  broken_ = true;
  ::shutdown(peer_->fd(), SHUT_RDWR);
  forget_served();
}

void VhostUser::forget_served() {
  for (Ring& ring : rings_) {
    if (std::ranges::find(served_, ring.queue, &Ring::queue) == served_.end()) continue;
    if (peer_->packed()) {
      // Only who served it knew how far it had come: the driver has to begin anew.
      signal_eventfd(ring.error_fd);
    } else {
      uint16_t used = used_index(*memory_, ring);
      ring.position = {.avail = used, .used = used};
    }
  }
  served_.clear();
}

void VhostUser::watch_peer() {
  if (!in_use_ || !peer_) return;
  auto watch = parts_.loop.watch_fd(peer_->fd(), EPOLLRDHUP, [this](uint32_t) { peer_gone(); });
  if (!watch) return warn(watch.error().message());
  auto error = parts_.loop.watch_fd(peer_->error_fd(), EPOLLIN, [this](uint32_t) { ring_broken(); });
  if (!error) return warn(error.error().message());
  peer_watch_ = std::move(*watch);
  error_watch_ = std::move(*error);
}

void VhostUser::stop_watching() {
  peer_watch_ = event::Watch();
  error_watch_ = event::Watch();
}

// The front end takes the device from the driver, which is held still meanwhile.
void VhostUser::ring_broken() {
  auto pass_on = [this] {
    if (drain_eventfd(peer_->error_fd()) && !served_.empty()) signal_eventfd(served_.front().error_fd);
  };
  if (listener_ == nullptr) return pass_on();
  listener_->hold_still(pass_on);
}

void VhostUser::seek() {
  if (!in_use_ || peer_) return;
  socket_.seek([this](UniqueFd socket) { peer_arrived(std::move(socket)); });
}

void VhostUser::exchange(std::unique_ptr<Peer> peer) {
  stop_watching();
  auto change = [&] {
    forget_served();
    peer_ = std::move(peer);
    broken_ = false;
    connected_ = peer_ != nullptr;
  };
  if (listener_ == nullptr) return change();
  listener_->hold_still(change);
  listener_->connection_changed();
}

void VhostUser::peer_arrived(UniqueFd socket) {
  auto peer = Peer::greet(std::move(socket), config_.queue_pairs);
  if (!peer) {
    warn(peer.error().message());
    return seek();
  }
  exchange(std::move(*peer));
  watch_peer();
  parts_.observer.vhost_user_connected(config_.id, config_.socket.chardev);
}

void VhostUser::peer_gone() {
  if (!broken_) warn("the peer has hung up: the guest has no link");
  exchange(nullptr);
  parts_.observer.vhost_user_disconnected(config_.id);
  seek();
}

// --- Rings ------------------------------------------------------------------------------------

Result<void> VhostUser::start(std::span<const Ring> rings, uint64_t features, RingOrigin origin) {
  CHECK(!serving_, "rings are set up while they are not served");
  if (origin == RingOrigin::kRestored) TRY(match_served(rings));
  rings_.assign(rings.begin(), rings.end());
  features_ = features;
  return {};
}

Result<void> VhostUser::match_served(std::span<const Ring> rings) {
  for (Ring& served : served_) {
    auto wanted = std::ranges::find_if(rings, [&](const Ring& ring) { return same_ring(ring, served); });
    if (wanted == rings.end()) {
      return fail("netdev '{}': its peer serves another ring of queue {} than the driver has set up", config_.id,
                  served.queue);
    }
    served = *wanted;
  }
  return {};
}

bool VhostUser::serves_what_is_wanted() const {
  return !served_.empty() && std::ranges::equal(served_, rings_, same_ring);
}

Result<void> VhostUser::resume() {
  serving_ = true;
  // Whoever connects later is told then.
  if (!usable() || rings_.empty() || serves_what_is_wanted()) return {};
  if (auto up = bring_up(); !up) lose(up.error());
  return {};
}

Result<void> VhostUser::bring_up() {
  TRY(stop_rings());
  TRY(peer_->set_features(features_));
  TRY(peer_->set_ram(*memory_));
  TRY(peer_->set_inflight(inflight_, static_cast<uint16_t>(2 * config_.queue_pairs), largest_ring()));
  for (const Ring& ring : rings_) {
    served_.push_back(ring);
    TRY(peer_->start_ring(ring));
  }
  return enable_pairs();
}

uint16_t VhostUser::largest_ring() const { return std::ranges::max_element(rings_, {}, &Ring::size)->size; }

Result<void> VhostUser::enable_pairs() {
  for (const Ring& ring : served_) TRY(peer_->enable_ring(ring.queue, ring.queue / 2 < active_pairs_));
  return {};
}

Result<void> VhostUser::stop_rings() {
  while (!served_.empty()) {
    Ring ring = served_.back();
    auto at = TRY(peer_->stop_ring(ring.queue));
    served_.pop_back();
    RingPosition position{.avail = at.avail, .used = at.used};
    if (!peer_->packed()) {
      position.used = used_index(*memory_, ring);
      if (static_cast<uint16_t>(at.avail - position.used) > ring.size) {
        return fail("GET_VRING_BASE: index {} of queue {} is not within its ring", at.avail, ring.queue);
      }
    }
    auto known = std::ranges::find(rings_, ring.queue, &Ring::queue);
    if (known != rings_.end()) known->position = position;
  }
  return {};
}

void VhostUser::pause(PauseReason reason) {
  serving_ = false;
  // The peer goes on, and does not notice who holds the guest.
  if (reason == PauseReason::kHandover || !usable()) return;
  if (auto stopped = stop_rings(); !stopped) lose(stopped.error());
}

void VhostUser::stop() {
  pause(PauseReason::kStop);
  rings_.clear();
  inflight_.reset();
  if (!peer_) return;
  peer_->forget_inflight();
  drain_eventfd(peer_->error_fd());
}

std::optional<RingPosition> VhostUser::position(unsigned queue) const {
  if (std::ranges::find(served_, queue, &Ring::queue) != served_.end()) return std::nullopt;
  auto ring = std::ranges::find(rings_, queue, &Ring::queue);
  return ring == rings_.end() ? std::nullopt : std::optional(ring->position);
}

UniqueFd VhostUser::take_kick(unsigned queue) {
  auto arrived = signals_.find(queue);
  return arrived == signals_.end() ? UniqueFd() : std::move(arrived->second.kick);
}

UniqueFd VhostUser::take_call(unsigned queue) {
  auto arrived = signals_.find(queue);
  return arrived == signals_.end() ? UniqueFd() : std::move(arrived->second.call);
}

// --- Moving -----------------------------------------------------------------------------------

Result<const vmstate::Description*> VhostUser::movable() const {
  if (!pending_ && (!connected_ || broken_)) {
    return std::unexpected(Error(fmt::format("nobody is connected to its chardev '{}'", config_.socket.chardev))
                               .remedy("try again when its peer is there"));
  }
  return &VhostUserState::description();
}

void VhostUser::freeze() {
  if (!in_use_) return;
  in_use_ = false;
  stop_watching();
  socket_.stop_seeking();
}

void VhostUser::thaw() {
  if (pending_ || in_use_) return;
  in_use_ = true;
  socket_.take_path();
  watch_peer();
  seek();
}

std::vector<VhostUserSignals> VhostUser::lend_signals() const {
  std::vector<VhostUserSignals> signals;
  for (const Ring& ring : served_) {
    signals.push_back({.queue = static_cast<uint16_t>(ring.queue),
                       .kick = vmstate::Fd::lend(ring.kick_fd),
                       .call = vmstate::Fd::lend(ring.call_fd)});
  }
  return signals;
}

// The guest runs, and its driver may be setting the rings up anew.
void VhostUser::save_early(vmstate::Writer& writer) {
  VhostUserEarlyState state;
  auto look = [&] { state.signals = lend_signals(); };
  listener_ == nullptr ? look() : listener_->hold_still(look);
  vmstate::write_state(writer, state);
}

Result<void> VhostUser::adopt_early(vmstate::Reader& reader) {
  auto state = TRY(vmstate::read_state<VhostUserEarlyState>(reader));
  for (const VhostUserSignals& signals : state.signals) TRY(check_signals(signals));
  for (VhostUserSignals& signals : state.signals) {
    signals_[signals.queue] = {.kick = signals.kick.take(), .call = signals.call.take()};
  }
  return {};
}

Result<void> VhostUser::save(vmstate::Writer& writer) const {
  VhostUserState state{.server = socket_.listening_fd() >= 0,
                       .path = socket_.path(),
                       .guest_offers = guest_offers_,
                       .active_pairs = static_cast<uint16_t>(active_pairs_)};
  if (state.server) state.listener.push_back(vmstate::Fd::lend(socket_.listening_fd()));
  if (usable()) {
    const vhost_user::Terms& terms = peer_->terms();
    state.connection.push_back(vmstate::Fd::lend(peer_->fd()));
    state.error.push_back(vmstate::Fd::lend(peer_->error_fd()));
    state.offered = terms.offered;
    state.protocol = terms.protocol;
    state.accepted = terms.accepted;
    state.knows_ram = terms.knows_ram;
    state.knows_inflight = terms.knows_inflight;
    auto signals = lend_signals();
    for (size_t i = 0; i < served_.size(); ++i) {
      const Ring& ring = served_[i];
      state.rings.push_back({.size = ring.size,
                             .descriptors = ring.descriptors.value,
                             .driver = ring.driver.value,
                             .device = ring.device.value,
                             .signals = std::move(signals[i])});
    }
  }
  if (inflight_) {
    state.inflight.push_back({.fd = vmstate::Fd::lend(inflight_->fd.get()),
                              .size = inflight_->size,
                              .offset = inflight_->offset,
                              .queues = inflight_->queues,
                              .queue_size = inflight_->queue_size});
  }
  vmstate::write_state(writer, state);
  return {};
}

Result<void> VhostUser::adopt(vmstate::Reader& reader) {
  CHECK(pending(), "a back end is adopted once");
  auto state = TRY(vmstate::read_state<VhostUserState>(reader));
  if (auto taken = take_state(state); !taken) {
    socket_.release();
    return std::unexpected(std::move(taken.error()).while_doing(fmt::format("netdev '{}'", config_.id)));
  }
  pending_ = false;
  return {};
}

Result<void> VhostUser::take_state(VhostUserState& state) {
  if (state.active_pairs < 1 || state.active_pairs > config_.queue_pairs) {
    return fail("{} active queue pairs where queues={}", state.active_pairs, config_.queue_pairs);
  }
  for (const VhostUserRing& ring : state.rings) {
    if (ring.signals.queue / 2 >= config_.queue_pairs) {
      return fail("a ring of queue {} where queues={}", ring.signals.queue, config_.queue_pairs);
    }
    TRY(check_signals(ring.signals));
  }
  if (!state.connection.empty()) {
    TRY(vhost_user::check_socket(state.connection.front().get()));
    TRY(check_eventfd(state.error.front().get()));
  }
  std::optional<vhost_user::InflightRegion> inflight;
  for (VhostUserInflight& region : state.inflight) {
    inflight.emplace(region.fd.take(), region.size, region.offset, region.queues, region.queue_size);
    TRY(inflight->check());
    if (region.queues != 2 * config_.queue_pairs) {
      return fail("an in-flight region for {} queues where queues={}", region.queues, config_.queue_pairs);
    }
  }
  std::optional<UniqueFd> listener;
  if (!state.listener.empty()) listener = state.listener.front().take();
  TRY(socket_.adopt(std::move(listener), std::move(state.path)));
  for (VhostUserRing& ring : state.rings) {
    // Those that came early are the same ones, and may be in use already.
    auto& signals = signals_
                        .try_emplace(ring.signals.queue,
                                     Signals{.kick = ring.signals.kick.take(), .call = ring.signals.call.take()})
                        .first->second;
    served_.push_back({.queue = ring.signals.queue,
                       .size = ring.size,
                       .descriptors = {ring.descriptors},
                       .driver = {ring.driver},
                       .device = {ring.device},
                       .position = {},
                       .kick_fd = signals.kick.get(),
                       .call_fd = signals.call.get()});
  }
  if (!state.connection.empty()) {
    peer_ = Peer::take_over(state.connection.front().take(), state.error.front().take(),
                            {.offered = state.offered,
                             .protocol = state.protocol,
                             .accepted = state.accepted,
                             .knows_ram = state.knows_ram,
                             .knows_inflight = state.knows_inflight});
  }
  inflight_ = std::move(inflight);
  guest_offers_ = state.guest_offers;
  active_pairs_ = state.active_pairs;
  connected_ = peer_ != nullptr;
  return {};
}

void VhostUser::release() {
  freeze();
  socket_.release();
  served_.clear();
  rings_.clear();
  peer_.reset();
  inflight_.reset();
  connected_ = false;
}

}  // namespace pagurus::net
