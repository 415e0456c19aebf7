// One queue pair of a virtio-net device: its two rings, its port of the back end, and the worker thread
// that moves frames between them.
//
// The worker is called "net/<id>", that of a further pair k "net/<id>.<k>".  It waits for the driver's kicks
// of the two queues (unless something else serves them: Kicks) and for the port.
//
// States, all changed while the worker is frozen:
//
//   idle ──begin()──▶ begun ──enable()──▶ serving      end() leads back to idle from everywhere
//                           ◀──disable()──
//
// A pair that is begun but not serving leaves its rings alone: the driver has not asked for it yet
// (virtio 1.2, 5.1.6.5.5).  Once a ring of any pair is broken, no pair of the device serves.
//
// Of a driver that has frames steered (steering.h), each worker fills the receive rings of all pairs.
//
// Threads: the worker's; while it is frozen, whoever froze it; a receive ring that is steered to, under its lock,
// every pair's.  counters() and position() from any thread
// that keeps the pair from being begun and ended.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "device/virtio_net/coalescing.h"
#include "device/virtio_net/counters.h"
#include "device/virtio_net/receiver.h"
#include "device/virtio_net/rss.h"
#include "device/virtio_net/rx_filter.h"
#include "device/virtio_net/steering.h"
#include "device/virtio_net/transmitter.h"
#include "event/worker.h"
#include "net/backend.h"
#include "virtio/device.h"

namespace pagurus::device {

class QueuePair;

// What the device adds to the eventfd of a queue's kicks to look at that queue again itself; each kick adds 1.
inline constexpr uint64_t kLookAgain = uint64_t{1} << 32;
// Takes what has come; whether there was a kick.
inline bool take_kicks(int kick_fd) { return drain_eventfd(kick_fd) % kLookAgain != 0; }

// What the pairs of one device have in common.
struct PairContext {
  const std::string& device_id;
  net::Backend& backend;
  virtio::Transport* transport = nullptr;
  std::atomic<bool> link_up{true};  // changes while all workers are frozen
  RxFilter filter{};                // as link_up
  Rss rss{};                        // as link_up
  // As link_up; by QueuePair::Direction.
  std::array<CoalescingLimits, 2> coalescing{};
  std::vector<QueuePair*> pairs{};  // all of them, once they are there
  std::atomic<bool> broken{false};  // a ring was; until the driver resets the device
};

class QueuePair {
 public:
  // Whether the worker waits for the driver's kicks; it does from the beginning.
  enum class Kicks { kWatched, kLeft };
  enum class Direction : unsigned { kReceive = 0, kTransmit = 1 };

  // `context` outlives the pair.
  static Result<std::unique_ptr<QueuePair>> create(unsigned index, PairContext& context);

  event::Worker& worker() { return *worker_; }
  // The number of a queue in the device (virtio 1.2, 5.1.2).
  unsigned queue(Direction direction) const { return 2 * index_ + static_cast<unsigned>(direction); }

  // The rest only while the worker is frozen, or on it.
  Result<void> set_kicks(Kicks kicks);
  // From now on, interrupts keep to the limits in the context.
  Result<void> coalesce();
  // likely_frame: see Receiver::Mode.
  void begin(virtio::Queue rx, virtio::Queue tx, uint64_t features, size_t likely_frame);
  void end();
  bool begun() const { return session_ != nullptr; }
  void enable() { enabled_ = true; }
  void disable();
  // Makes the worker look at everything once, and watch the port.
  void rouse();
  // The back end may be closed or given away.
  void unwatch();
  // The back end may have recovered.
  void try_backend_again() { backend_failed_ = false; }
  // Sends the interrupts that wait.
  void interrupt_now();

  std::vector<uint8_t> held_frame() const;
  void hold(std::vector<uint8_t> frame);

  std::optional<virtio::QueuePosition> position(Direction direction) const;
  const AtomicNetCounters& counters() const { return counters_; }
  // While the worker is frozen.
  void go_on_counting(const std::array<uint64_t, PairCounters::kCount>& from);

 private:
  // A driver's session with the pair.
  struct Session {
    Session(virtio::Queue rx_queue, virtio::Queue tx_queue) : rx(std::move(rx_queue)), tx(std::move(tx_queue)) {}
    virtio::Queue rx;
    virtio::Queue tx;
    std::optional<Receiver> receiver;
    std::optional<Steering> steering;  // then it reads the port, and the receiver only fills the ring
    std::optional<Transmitter> transmitter;
    bool want_readable = true;   // receive has room
    bool want_writable = false;  // transmit is blocked
  };

  QueuePair(unsigned index, PairContext& context) : index_(index), context_(context) {}

  net::Port& port() const { return context_.backend.port(index_); }
  int kick_fd(Direction direction) const { return context_.transport->kick_fd(queue(direction)); }
  bool serving() const { return session_ && enabled_ && !context_.broken; }
  void look_again(Direction direction) { signal_eventfd(kick_fd(direction), kLookAgain); }
  void on_kick(Direction direction);
  void on_port(uint32_t events);
  void serve(Direction direction);
  void serve_receive();
  // For a pair whose frame goes here; on its worker.
  virtio::RingResult<bool> accept(unsigned reader, std::span<const uint8_t> frame);
  void publish_accepted();
  void wake_waiting();
  void serve_transmit();
  // Buffers have gone back to the driver, and if `wanted`, it is to be told.
  void notify(Direction direction, bool wanted);
  void on_timer(Direction direction);
  std::optional<Coalescing>& coalescing(Direction direction) { return coalescing_[static_cast<size_t>(direction)]; }
  // Frames, in all.
  uint64_t moved(Direction direction) const;
  void restart_coalescing();
  void interrupt(Direction direction);
  void give_up_backend();
  void update_watch();
  void break_ring(const virtio::BrokenRing& why);

  const unsigned index_;
  PairContext& context_;
  AtomicNetCounters counters_;
  Kicks kicks_ = Kicks::kLeft;
  std::unique_ptr<Session> session_;
  std::array<std::optional<Coalescing>, 2> coalescing_;  // by Direction; none: interrupts are sent at once
  // Guards the receive ring of a session that steers frames, which any pair's worker fills, its coalescing, and:
  std::mutex ring_lock_;
  uint32_t waiting_ = 0;  // a bit for each pair that waits for room in it
  uint32_t filled_ = 0;   // the worker's own: a bit for each pair whose ring it has filled and not published
  bool enabled_ = false;
  int watched_fd_ = -1;
  uint32_t watched_events_ = 0;  // 0: not watched
  bool backend_failed_ = false;  // until try_backend_again()

  // Last: its thread ends before what it uses.
  std::unique_ptr<event::Worker> worker_;
};

}  // namespace pagurus::device
