// The first worker's side of VirtioNet, beside its queue pair: the control queue and the machine's own
// announcement.
#include <algorithm>
#include <span>

#include "base/bytes.h"
#include "base/log.h"
#include "device/virtio_net/features.h"
#include "device/virtio_net/rarp.h"
#include "device/virtio_net/virtio_net.h"
#include "virtio/iovec.h"

namespace pagurus::device {
namespace {

// Commands per wake-up.
constexpr unsigned kBudget = 64;

// virtio 1.2, 5.1.6.5
enum Group : uint8_t { kRx = 0, kMac = 1, kVlan = 2, kAnnounce = 3, kMq = 4, kGuestOffloads = 5, kNotfCoal = 6 };
constexpr uint8_t kRxLastBasicMode = 1;
constexpr uint8_t kMacTableSet = 0;
constexpr uint8_t kMacAddrSet = 1;
constexpr uint8_t kVlanAdd = 0;
constexpr uint8_t kVlanDel = 1;
constexpr uint8_t kAnnounceAck = 0;
constexpr uint8_t kMqPairsSet = 0;
constexpr uint8_t kMqRssConfig = 1;
constexpr uint8_t kMqHashConfig = 2;
constexpr uint8_t kGuestOffloadsSet = 0;
constexpr uint8_t kNotfCoalTxSet = 0;
constexpr uint8_t kNotfCoalRxSet = 1;

}  // namespace

// Lost if the back end takes nothing now: the machine asks more than once.
void VirtioNet::on_announce() {
  drain_eventfd(announce_event_.get());
  if (!context_.link_up) return;
  std::array<uint8_t, kNetHeaderBytes> header{};
  RarpFrame frame = make_rarp(context_.filter.mac);
  std::array parts{iovec{header.data(), header.size()}, iovec{frame.data(), frame.size()}};
  (void)backend_.port(0).transmit(virtio::skip_front(parts, backend_.vnet_header() ? 0 : kNetHeaderBytes));
}

// Of a back end that serves the rings.
void VirtioNet::on_ring_error() {
  if (drain_eventfd(ring_service_->error_fd()) && serving()) give_up(RingService::kGivenUp);
}

void VirtioNet::give_up(const char* why) {
  context_.broken = true;
  transport_->needs_reset(why);
  if (ring_service_) hold_others([&] { ring_service_->pause(net::PauseReason::kStop); });
}

void VirtioNet::look_again_at_control() { signal_eventfd(transport_->kick_fd(control_index_), kLookAgain); }

void VirtioNet::on_control_kick() {
  if (take_kicks(transport_->kick_fd(control_index_))) control_kicks_.fetch_add(1, std::memory_order_relaxed);
  if (serving()) serve_control();
}

void VirtioNet::serve_control() {
  if (!control_) return;
  // A command may take the kernel long (queues of a TAP that come and go): a machine that is to stop waits for the end
  // of one, and not for those behind it.
  for (unsigned answered = 0; answered < kBudget; ++answered) {
    auto outcome = control_->run(1);
    if (control_->take_interrupt()) transport_->interrupt_queue(control_index_);
    if (!outcome) return give_up(outcome.error().why);
    if (*outcome == ControlQueue::Outcome::kIdle) return;
    if (pairs_.front()->worker().asked_to_freeze()) break;
  }
  look_again_at_control();
}

ControlAnswer VirtioNet::execute(const ControlCommand& command) {
  switch (command.group) {
    case kRx:
    case kMac:
    case kVlan: {
      auto answer = ControlAnswer::kError;
      hold_others([&] { answer = set_filter(command); });
      if (answer == ControlAnswer::kOk) tell_rx_filter_changed();
      return answer;
    }
    case kAnnounce:
      if (command.code != kAnnounceAck) return ControlAnswer::kError;
      announce_ = false;
      return ControlAnswer::kOk;
    case kMq: return set_multiqueue(command);
    case kGuestOffloads: return set_offloads(command);
    case kNotfCoal: return set_coalescing(command);
    default: return ControlAnswer::kError;
  }
}

ControlAnswer VirtioNet::set_filter(const ControlCommand& command) {
  auto negotiated = [this](uint64_t feature) { return (features_ & feature) != 0; };
  RxFilter& filter = context_.filter;
  std::lock_guard lock(settings_lock_);
  switch (command.group) {
    case kRx:
      if (!negotiated(command.code <= kRxLastBasicMode ? kNetCtrlRx : kNetCtrlRxExtra)) break;
      return filter.set_mode(command.code, command.data);
    case kMac:
      if (command.code == kMacTableSet && negotiated(kNetCtrlRx)) return filter.set_mac_table(command.data);
      if (command.code == kMacAddrSet && negotiated(kNetCtrlMacAddr)) return filter.set_mac(command.data);
      break;
    case kVlan:
      if (!negotiated(kNetCtrlVlan)) break;
      if (command.code == kVlanAdd) return filter.add_vlan(command.data);
      if (command.code == kVlanDel) return filter.remove_vlan(command.data);
      break;
    default: break;
  }
  return ControlAnswer::kError;
}

// As QEMU: once, until somebody has asked what the driver wants now.
void VirtioNet::tell_rx_filter_changed() {
  if (!told_rx_filter_changed_.exchange(true)) on_rx_filter_changed_();
}

ControlAnswer VirtioNet::set_multiqueue(const ControlCommand& command) {
  auto negotiated = [this](uint64_t feature) { return (features_ & feature) != 0; };
  switch (command.code) {
    case kMqPairsSet: {
      if (!negotiated(kNetMq) || command.data.size() != 2) return ControlAnswer::kError;
      // Frames stay with the pair that reads them again.
      Rss rss = context_.rss;
      rss.table.clear();
      return set_pairs(load_le<uint16_t>(command.data.data()), rss);
    }
    case kMqRssConfig: {
      auto wanted = negotiated(kNetRss) ? RssCommand::parse(command.data) : std::nullopt;
      if (!wanted || wanted->transmit_pairs == 0) return ControlAnswer::kError;
      // Linux 6.1 tells here how many pairs it transmitted by at its start, and transmits by all it has asked for since.
      return set_pairs(std::max({active_pairs_, unsigned{wanted->transmit_pairs}, wanted->rss.pairs()}), wanted->rss);
    }
    case kMqHashConfig: {
      auto wanted = negotiated(kNetHashReport) ? parse_hash_config(command.data) : std::nullopt;
      if (!wanted) return ControlAnswer::kError;
      return set_pairs(active_pairs_, *wanted);
    }
    default: return ControlAnswer::kError;
  }
}

// The first `pairs` pairs serve, and frames go to them as `rss` says.
ControlAnswer VirtioNet::set_pairs(unsigned pairs, const Rss& rss) {
  if (pairs == 0 || pairs > pairs_.size()) return ControlAnswer::kError;
  for (unsigned i = 0; i < pairs; ++i) {
    if (!pairs_[i]->begun()) return ControlAnswer::kError;
  }
  auto answer = ControlAnswer::kOk;
  hold_others([&] {
    // The back end may take away the descriptor of a port.
    for (auto& pair : pairs_) pair->unwatch();
    if (ring_service_) ring_service_->pause(net::PauseReason::kStop);
    if (auto set = backend_.set_active_pairs(pairs); !set) {
      log_warning("{}: {}", config_.id, set.error().message());
      answer = ControlAnswer::kError;
    } else {
      set_active(pairs);
      std::lock_guard lock(settings_lock_);
      active_pairs_ = pairs;
      context_.rss = rss;
    }
    for (auto& pair : pairs_) pair->rouse();
    if (ring_service_) serve_rings();
  });
  return answer;
}

ControlAnswer VirtioNet::set_offloads(const ControlCommand& command) {
  bool negotiated = (features_ & kNetCtrlGuestOffloads) != 0;
  if (command.code != kGuestOffloadsSet || command.data.size() != 8 || !negotiated) return ControlAnswer::kError;
  uint64_t wanted = load_le<uint64_t>(command.data.data());
  uint64_t possible = features_ & kNetGuestOffloads;
  if ((wanted & ~possible) != 0) return ControlAnswer::kError;
  auto answer = ControlAnswer::kOk;
  hold_others([&] {
    auto set = backend_.vnet_header() ? backend_.set_offloads(net_offloads(wanted)) : Result<void>();
    if (!set) {
      log_warning("{}: {}", config_.id, set.error().message());
      answer = ControlAnswer::kError;
      return;
    }
    std::lock_guard lock(settings_lock_);
    offloads_off_ = possible & ~wanted;
  });
  return answer;
}

ControlAnswer VirtioNet::set_coalescing(const ControlCommand& command) {
  auto limits = (features_ & kNetNotfCoal) != 0 ? CoalescingLimits::parse(command.data) : std::nullopt;
  if (!limits || (command.code != kNotfCoalTxSet && command.code != kNotfCoalRxSet)) return ControlAnswer::kError;
  auto direction = command.code == kNotfCoalTxSet ? QueuePair::Direction::kTransmit : QueuePair::Direction::kReceive;
  hold_others([&] {
    {
      std::lock_guard lock(settings_lock_);
      context_.coalescing[static_cast<size_t>(direction)] = *limits;
    }
    // What waits has the old limits.
    for (auto& pair : pairs_) pair->interrupt_now();
  });
  return ControlAnswer::kOk;
}

// Runs `change` while only this worker, the first one, is awake.
void VirtioNet::hold_others(const std::function<void()>& change) {
  auto others = std::span(pairs_).subspan(1);
  for (auto& pair : others) pair->worker().request_freeze();
  for (auto& pair : others) pair->worker().wait_frozen();
  change();
  for (auto& pair : others) pair->worker().thaw();
}

}  // namespace pagurus::device
