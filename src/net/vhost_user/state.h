// The state of a vhost-user netdev as it moves.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "vmstate/description.h"

namespace pagurus::net {

// The eventfds of a queue that the peer holds.
struct VhostUserSignals {
  uint16_t queue = 0;
  vmstate::Fd kick;
  vmstate::Fd call;

  static const vmstate::Description& description();
};

// A ring that the peer serves, as it was told.
struct VhostUserRing {
  uint16_t size = 0;
  uint64_t descriptors = 0;
  uint64_t driver = 0;
  uint64_t device = 0;
  VhostUserSignals signals;

  static const vmstate::Description& description();
};

// Where the peer notes what it has in hand: vhost_user::InflightRegion.
struct VhostUserInflight {
  vmstate::Fd fd;
  uint64_t size = 0;
  uint64_t offset = 0;
  uint16_t queues = 0;
  uint16_t queue_size = 0;

  static const vmstate::Description& description();
};

struct VhostUserState {
  bool server = false;
  std::vector<vmstate::Fd> listener;    // at most one
  std::string path;                     // of the listener, to unlink at the end; empty: none
  std::vector<vmstate::Fd> connection;  // at most one
  std::vector<vmstate::Fd> error;       // one with a connection: the eventfd by which the peer tells of a broken ring
  uint64_t guest_offers = 0;            // features that this peer or one before it offered when the guest began
  uint64_t offered = 0;                 // vhost_user::Terms
  uint64_t protocol = 0;
  uint64_t accepted = 0;
  bool knows_ram = false;
  bool knows_inflight = false;
  uint16_t active_pairs = 1;
  std::vector<VhostUserRing> rings;
  std::vector<VhostUserInflight> inflight;  // at most one

  static const vmstate::Description& description();
  Result<void> validate() const;
};

// What the destination needs to register with KVM before the pause.
struct VhostUserEarlyState {
  std::vector<VhostUserSignals> signals;

  static const vmstate::Description& description();
};

}  // namespace pagurus::net
