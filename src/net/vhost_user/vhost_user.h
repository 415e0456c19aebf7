// -netdev vhost-user: another process, the peer, serves the guest's rings in the guest's RAM.
//
// In a hand-over the peer sees no message, no disconnect and no reconnect.  It goes on serving while the guest is
// held still; the connection, the eventfds it waits for and signals, and what was agreed with it move.
//
//            peer lost                           connected
//   served ─────────────▶ alone (link is down) ─────────────▶ served
//
// While nobody is connected the guest has no link.  A peer that comes back goes on where the used rings stand; it
// has to offer what the guest uses.  A failure on any thread only marks the connection as broken and shuts it
// down; the control thread notices that and clears up, while the workers are held still.
//
// Threads: as Backend and RingServer say; connected() on any.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "net/netdev.h"
#include "net/vhost_user/peer.h"
#include "net/vhost_user/socket.h"
#include "net/vhost_user/state.h"

namespace pagurus::net {

struct VhostUserConfig {
  std::string id;
  vhost_user::SocketConfig socket;
  unsigned queue_pairs = 1;

  // Refuses what contradicts itself.
  static Result<VhostUserConfig> from(const std::string& id, const schema::NetdevVhostUserOptions& options,
                                      std::span<const schema::ChardevOptions> chardevs);
};

class VhostUser final : public Backend, private RingServer, private Port {
 public:
  // The back end is pending.
  VhostUser(VhostUserConfig config, const NetdevParts& parts);
  ~VhostUser() override;

  const std::string& id() const override { return config_.id; }
  std::string_view kind() const override { return "vhost-user"; }
  bool announced() const override { return false; }
  bool pending() const override { return pending_; }
  Result<void> open() override;

  bool vnet_header() const override { return true; }
  Offloads offloads() const override;
  Result<void> set_offloads(const Offloads& offloads) override;
  unsigned queue_pairs() const override { return config_.queue_pairs; }
  Result<void> set_active_pairs(unsigned pairs) override;
  Port& port(unsigned) override { return *this; }
  RingServer* ring_server() override { return this; }
  bool connected() const override { return connected_; }
  void set_listener(BackendListener* listener) override { listener_ = listener; }
  Result<void> ram_ready(const memory::GuestMemory& memory) override;

  Result<const vmstate::Description*> movable() const override;
  // A peer that served the guest's rings for one process is not to meet another one with the same guest.
  bool inseparable() const override { return true; }
  void freeze() override;
  Result<void> save(vmstate::Writer& writer) const override;
  Result<void> adopt(vmstate::Reader& reader) override;
  const vmstate::Description* early() const override { return &VhostUserEarlyState::description(); }
  void save_early(vmstate::Writer& writer) override;
  Result<void> adopt_early(vmstate::Reader& reader) override;
  void thaw() override;
  void release() override;

 private:
  // RingServer.
  uint64_t ring_features() const override { return guest_offers_; }
  Result<void> start(std::span<const Ring> rings, uint64_t features, RingOrigin origin) override;
  Result<void> resume() override;
  void pause(PauseReason reason) override;
  void stop() override;
  std::optional<RingPosition> position(unsigned queue) const override;
  UniqueFd take_kick(unsigned queue) override;
  UniqueFd take_call(unsigned queue) override;

  // Port: there are no frames here.
  int fd() const override { return -1; }
  IoResult receive(std::span<const iovec>) override { return {IoStatus::kWouldBlock, 0}; }
  IoResult transmit(std::span<const iovec>) override { return {IoStatus::kDropped, 0}; }

  struct Signals {
    UniqueFd kick;
    UniqueFd call;
  };

  Result<void> bring_up();
  uint16_t largest_ring() const;
  Result<void> enable_pairs();
  Result<void> stop_rings();
  bool serves_what_is_wanted() const;
  // What the peer serves is, on a side that has just adopted it, what the driver has set up.
  Result<void> match_served(std::span<const Ring> rings);
  Result<void> take_state(VhostUserState& state);
  std::vector<VhostUserSignals> lend_signals() const;

  bool usable() const { return peer_ && !broken_; }
  // Says why and shuts the connection down.
  void lose(const Error& why);
  // Where its rings stand is known from RAM only.
  void forget_served();
  void watch_peer();
  void stop_watching();
  void peer_arrived(UniqueFd socket);
  void peer_gone();
  void ring_broken();
  // Changes the connection while no worker and no vCPU uses it.
  void exchange(std::unique_ptr<vhost_user::Peer> peer);
  void seek();
  void warn(const std::string& what);

  VhostUserConfig config_;
  NetdevParts parts_;
  vhost_user::Socket socket_;
  BackendListener* listener_ = nullptr;
  const memory::GuestMemory* memory_ = nullptr;
  bool pending_ = true;
  bool in_use_ = false;
  std::unique_ptr<vhost_user::Peer> peer_;
  std::atomic<bool> connected_{false};
  std::atomic<bool> broken_{false};
  GuestFaults faults_;  // of peers, who are as free to fill the log as a guest
  event::Watch peer_watch_;
  event::Watch error_watch_;

  uint64_t guest_offers_ = ~uint64_t{0};  // what the first peer offered; nobody knows before
  unsigned active_pairs_ = 1;
  std::vector<Ring> rings_;  // as the driver has set them up
  uint64_t features_ = 0;    // the driver's
  bool serving_ = false;
  std::vector<Ring> served_;                            // what the peer serves
  std::optional<vhost_user::InflightRegion> inflight_;  // for this peer and those after it, until the driver resets
  std::map<unsigned, Signals> signals_;                 // arrived, by queue; empty once they were taken
};

}  // namespace pagurus::net
