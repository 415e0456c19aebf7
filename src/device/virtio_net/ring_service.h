// Lets a back end serve the rings of a virtio-net device's queue pairs (net/ring_server.h).
//
// The back end waits for the driver's kicks itself.  What it wants to tell the driver arrives at an eventfd of
// each queue; the queue's worker turns that into the transport's interrupt, so that a worker that is frozen
// and a back end that is paused have no interrupt in hand.  One more eventfd, for all rings, tells that the
// driver has broken one.
//
// Threads: while the workers are frozen, whoever froze them; interrupts are the workers'.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <vector>

#include "event/worker.h"
#include "net/ring_server.h"
#include "virtio/device.h"

namespace pagurus::device {

class RingService {
 public:
  // queues: those of the queue pairs.  `server` and `transport` outlive the service.
  static Result<std::unique_ptr<RingService>> create(net::RingServer& server, virtio::Transport& transport,
                                                     unsigned queues);

  // `worker` sends the interrupts of a queue from now on; it ends before the service.
  Result<void> watch(event::Worker& worker, unsigned queue);

  static constexpr const char* kGivenUp = "its back end found a broken ring";
  // Signalled by the back end; until stop().
  int error_fd() const { return error_.get(); }
  // How many were sent for a queue.  Any thread.
  uint64_t interrupts(unsigned queue) const { return interrupts_[queue]; }
  // Uses the eventfds that the server, in another process, waits for and signals already, if there are any.  The
  // worker is frozen.
  Result<void> take_signals(unsigned queue, event::Worker& worker);
  net::Ring describe(unsigned queue, const virtio::Queue& rings) const;
  Result<void> start(const std::vector<net::Ring>& rings, uint64_t features, virtio::Origin origin);
  // Idempotent, all of them.
  Result<void> resume();
  void pause(net::PauseReason reason);
  void stop();
  // Around the copying of RAM; the back end is paused then.
  Result<void> start_log();
  void collect_log() { server_.collect_log(); }
  void stop_log();
  // Empty while the back end serves, and for a queue that was not started.
  std::optional<virtio::QueuePosition> position(unsigned queue) const;
  // Of paused rings: an error if the back end has just given one up, or if one cannot have come to where it stands. How
  // far some have come is told in RAM, where their driver can overwrite it.
  Result<void> check_rings();

 private:
  RingService(net::RingServer& server, virtio::Transport& transport) : server_(server), transport_(transport) {}
  void send_interrupt(unsigned queue);

  net::RingServer& server_;
  virtio::Transport& transport_;
  UniqueFd error_;
  std::vector<UniqueFd> calls_;                    // by queue
  std::vector<std::atomic<uint64_t>> interrupts_;  // by queue
  std::vector<net::Ring> rings_;                   // started
  virtio::QueueFeatures ring_features_;            // theirs
  bool serving_ = false;
};

}  // namespace pagurus::device
