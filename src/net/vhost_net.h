// vhost-net: the kernel serves the rings of a TAP's queue pairs, one vhost device for each pair.
//
// A vhost device belongs to the process that became its owner, reads and writes that process's memory, and dies
// with it: it does not move.  So every process has its own, opened and given the guest's RAM in ram_ready(),
// which on a destination is before the pause; in the pause only the rings move.  Where they come from:
//   vhostfds=A:B   open ones, inherited or passed by `getfd`
//   (nothing)      /dev/vhost-net
//   early state    on a destination that may do neither: fresh ones that the source has opened for it
//
// The kernel reads how far it has come with the used ring from the guest's memory, where the index stands.  While
// RAM is copied it sets a bit in a log of ours for each page that it writes (VHOST_F_LOG_ALL).
//
// Threads: as RingServer and Backend say.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/named_fds.h"
#include "memory/guest_memory.h"
#include "net/ring_server.h"
#include "net/vhost_net_state.h"
#include "vmstate/stream.h"

namespace pagurus::net {

struct VhostNetConfig {
  std::string netdev;            // id of the back end, for messages
  std::vector<std::string> fds;  // one per queue pair, or empty
  unsigned queue_pairs = 1;
};

class VhostNet final : public RingServer {
 public:
  // The descriptor of a queue pair's TAP queue, -1 for a pair that is not active; asked for when its rings are
  // about to be served.
  using TapFd = std::function<int(unsigned pair)>;

  VhostNet(VhostNetConfig config, NamedFds& named_fds, TapFd tap_fd);

  // Opens the devices and makes them this process's, with the guest's RAM.
  Result<void> ram_ready(const memory::GuestMemory& memory);
  // As ram_ready(), where others than this process's own may still come: says nothing of a failure before
  // check() is asked.
  void try_ram_ready(const memory::GuestMemory& memory);
  // Why there are no devices although the RAM is ready, if that is so.
  Result<void> check() const;

  void save_early(vmstate::Writer& writer);
  // Uses what arrived unless this process has its own.
  Result<void> adopt_early(vmstate::Reader& reader);
  // What save_early() opened is not needed any more.
  void forget_lent() { lent_.clear(); }
  // The rings are another process's.
  void release();

  // RingServer.
  uint64_t ring_features() const override { return features_; }
  Result<void> start(std::span<const Ring> rings, uint64_t features, RingOrigin origin) override;
  Result<void> resume() override;
  void pause(PauseReason reason) override;
  void stop() override;
  std::optional<RingPosition> position(unsigned queue) const override;
  Result<void> can_log() const override;
  Result<void> start_log() override;
  void collect_log() override;
  void stop_log() override;
  UniqueFd take_kick(unsigned) override { return {}; }
  UniqueFd take_call(unsigned) override { return {}; }

 private:
  Result<std::vector<UniqueFd>> open_own();
  Result<void> set_up(std::vector<UniqueFd> devices);
  Result<void> set_features(uint64_t features);
  Result<void> set_ring(const Ring& ring);
  Result<void> renew_log();
  int device_of(unsigned queue) const { return devices_[queue / 2].get(); }
  Error explain(Error error) const;

  VhostNetConfig config_;
  NamedFds& named_fds_;
  TapFd tap_fd_;
  const memory::GuestMemory* memory_ = nullptr;
  std::vector<UniqueFd> devices_;  // by queue pair; empty until the RAM is ready
  std::vector<UniqueFd> lent_;
  std::optional<Error> problem_;
  uint64_t features_ = ~uint64_t{0};  // of the devices; nobody knows before they are open
  uint64_t set_features_ = 0;         // what they were told
  std::vector<Ring> rings_;           // what they were told
  std::vector<uint64_t> log_;         // a bit for each page of guest-physical addresses; empty: nothing is logged
  bool serving_ = false;
};

}  // namespace pagurus::net
