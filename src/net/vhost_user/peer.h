// What a vhost-user back end, the peer, is told: who it serves, where the guest's RAM is, which rings to serve.
//
// A ring:  unknown ──start_ring()──▶ disabled ◀──enable_ring()──▶ served
//             ▲                                                      │
//             └──────────────────────stop_ring()─────────────────────┘
//
// Addresses that the peer is given are guest-physical ones moved by a constant, so that nothing it knows depends
// on the process that told it.
//
// A call that fails leaves the two sides out of step: the connection is to be given up.
//
// Threads: one at a time.
#pragma once

#include <memory>
#include <optional>

#include "memory/guest_memory.h"
#include "net/ring_server.h"
#include "net/vhost_user/connection.h"

namespace pagurus::net::vhost_user {

// What the two sides have agreed on.
struct Terms {
  uint64_t offered = 0;   // the peer's features (VIRTIO_F_*, VIRTIO_NET_F_*, kProtocolFeatures)
  uint64_t protocol = 0;  // protocol features in use
  uint64_t accepted = 0;  // features set
  bool knows_ram = false;
  bool knows_inflight = false;
};

// Memory of the peer's in which it notes the descriptors that it has in hand, so that a peer after its crash can
// process them again.  It is kept for that peer, and never mapped here.
struct InflightRegion {
  UniqueFd fd;
  uint64_t size = 0;
  uint64_t offset = 0;
  uint16_t queues = 0;
  uint16_t queue_size = 0;

  // It lies within its file.
  Result<void> check() const;
};

// How far a ring was served.  Of a split ring the peer tells `avail` only.
struct StoppedAt {
  uint16_t avail = 0;
  uint16_t used = 0;
};

class Peer {
 public:
  // The first words on a new connection.  Fails unless it can serve a modern device with that many queue pairs.
  static Result<std::unique_ptr<Peer>> greet(UniqueFd socket, unsigned queue_pairs,
                                             std::chrono::milliseconds patience = Connection::kPatience);
  // A connection on which another process has agreed on that, and the eventfd that it gave to the peer; says nothing.
  static std::unique_ptr<Peer> take_over(UniqueFd socket, UniqueFd error, const Terms& terms);

  int fd() const { return connection_.fd(); }
  // An eventfd that the peer signals when the driver has broken a ring.
  int error_fd() const { return error_.get(); }
  const Terms& terms() const { return terms_; }
  // What the driver and the peer talk over are packed rings.
  bool packed() const;

  // The driver's features; what is not the peer's business is left out.  Idempotent, as the next two.
  Result<void> set_features(uint64_t features);
  Result<void> set_ram(const memory::GuestMemory& memory);
  // The peer notes in `region` what it has in hand: where none is there yet, it makes one.  Before its rings start;
  // leaves none with a peer that notes nothing.
  Result<void> set_inflight(std::optional<InflightRegion>& region, uint16_t queues, uint16_t queue_size);
  // The driver has begun anew: what the peer had in hand is nobody's.
  void forget_inflight() { terms_.knows_inflight = false; }
  Result<void> start_ring(const Ring& ring);
  Result<void> enable_ring(unsigned queue, bool enabled);
  Result<StoppedAt> stop_ring(unsigned queue);

 private:
  Peer(UniqueFd socket, std::chrono::milliseconds patience) : connection_(std::move(socket), patience) {}
  Result<void> agree(unsigned queue_pairs);
  Result<std::optional<InflightRegion>> get_inflight(uint16_t queues, uint16_t queue_size);

  Connection connection_;
  UniqueFd error_;
  Terms terms_;
};

}  // namespace pagurus::net::vhost_user
