#include "net/vhost_user/state.h"

#include <set>

#include "net/backend.h"

namespace pagurus::net {
namespace {

constexpr uint64_t kMaxQueues = 2 * kMaxQueuePairs;
constexpr uint64_t kMaxSize = 32768;  // virtio 1.2, 2.7

}  // namespace

const vmstate::Description& VhostUserSignals::description() {
  static constexpr auto kFields = std::array{
      vmstate::field<&VhostUserSignals::queue>("queue", {.max = kMaxQueues - 1}),
      vmstate::field<&VhostUserSignals::kick>("kick"),
      vmstate::field<&VhostUserSignals::call>("call"),
  };
  static constexpr vmstate::Description kDescription{"vhost-user-signals", 1, kFields};
  return kDescription;
}

const vmstate::Description& VhostUserRing::description() {
  static constexpr auto kFields = std::array{
      vmstate::field<&VhostUserRing::size>("size", {.max = kMaxSize}),
      vmstate::field<&VhostUserRing::descriptors>("descriptors"),
      vmstate::field<&VhostUserRing::driver>("driver"),
      vmstate::field<&VhostUserRing::device>("device"),
      vmstate::field<&VhostUserRing::signals>("signals"),
  };
  static constexpr vmstate::Description kDescription{"vhost-user-ring", 1, kFields};
  return kDescription;
}

const vmstate::Description& VhostUserInflight::description() {
  static constexpr auto kFields = std::array{
      vmstate::field<&VhostUserInflight::fd>("fd"),
      vmstate::field<&VhostUserInflight::size>("size"),
      vmstate::field<&VhostUserInflight::offset>("offset"),
      vmstate::field<&VhostUserInflight::queues>("queues", {.max = kMaxQueues}),
      vmstate::field<&VhostUserInflight::queue_size>("queue-size", {.max = kMaxSize}),
  };
  static constexpr vmstate::Description kDescription{"vhost-user-inflight", 1, kFields};
  return kDescription;
}

const vmstate::Description& VhostUserState::description() {
  constexpr uint64_t kMaxPath = 108;  // sizeof sockaddr_un::sun_path
  static constexpr auto kFields = std::array{
      vmstate::field<&VhostUserState::server>("server"),
      vmstate::field<&VhostUserState::listener>("listener", {.max = 1}),
      vmstate::field<&VhostUserState::path>("path", {.max = kMaxPath}),
      vmstate::field<&VhostUserState::connection>("connection", {.max = 1}),
      vmstate::field<&VhostUserState::error>("error", {.max = 1}),
      vmstate::field<&VhostUserState::guest_offers>("guest-offers"),
      vmstate::field<&VhostUserState::offered>("offered"),
      vmstate::field<&VhostUserState::protocol>("protocol"),
      vmstate::field<&VhostUserState::accepted>("accepted"),
      vmstate::field<&VhostUserState::knows_ram>("knows-ram"),
      vmstate::field<&VhostUserState::knows_inflight>("knows-inflight"),
      vmstate::field<&VhostUserState::active_pairs>("active-pairs", {.max = kMaxQueuePairs}),
      vmstate::field<&VhostUserState::rings>("rings", {.max = kMaxQueues}),
      vmstate::field<&VhostUserState::inflight>("inflight", {.max = 1}),
  };
  static constexpr vmstate::Description kDescription{"vhost-user", 1, kFields};
  return kDescription;
}

Result<void> VhostUserState::validate() const {
  if (server == listener.empty()) return fail("a server without a listening socket, or a client with one");
  if (connection.empty() && !rings.empty()) return fail("rings are served where there is no connection");
  if (connection.size() != error.size()) return fail("a connection without an eventfd for errors, or one without it");
  std::set<uint16_t> queues;
  for (const VhostUserRing& ring : rings) {
    if (!queues.insert(ring.signals.queue).second)
      return fail("the ring of queue {} is there twice", ring.signals.queue);
  }
  return {};
}

const vmstate::Description& VhostUserEarlyState::description() {
  static constexpr auto kFields =
      std::array{vmstate::field<&VhostUserEarlyState::signals>("signals", {.max = kMaxQueues})};
  static constexpr vmstate::Description kDescription{"vhost-user-early", 1, kFields};
  return kDescription;
}

}  // namespace pagurus::net
