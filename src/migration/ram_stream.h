// RamStream: sends the guest's RAM over a connection, in rounds while the guest runs, and the rest in
// the pause.
//
//   start() ─▶ rounds ... ─▶ on_converged     the owner stops and saves the guest
//   finish() ─▶ the rest ─▶ on_finished       the owner sends STATE
//
// One message is under way at a time, of kChunk at most, so that the control loop is never kept long
// and what is sent is as young as can be.  While the guest runs, max-bandwidth is kept; in the pause
// nothing holds back.  A peer that reads nothing for `stall_ms` has failed.
//
// Threads: the control thread.  A callback may stop() it, and must not destroy it.
#pragma once

#include <functional>
#include <memory>

#include "event/loop.h"
#include "migration/connection.h"
#include "migration/fault.h"
#include "migration/ram_source.h"
#include "migration/rate_limit.h"

namespace pagurus::migration {

class RamStream {
 public:
  struct Environment {
    event::Loop& loop;
    machine::LoggedRam& ram;
    Connection& connection;
    Faults& faults;
    uint64_t max_bandwidth;      // bytes/s; 0: unlimited
    uint64_t downtime_limit_ms;  // of which the rest may take half
    uint64_t stall_ms;
    std::function<void()> on_converged;
    std::function<void()> on_finished;
    std::function<void(const Error&)> on_failed;
  };
  explicit RamStream(Environment environment)
      : environment_(std::move(environment)), source_(environment_.ram), rate_(environment_.max_bandwidth) {}

  Result<void> start();
  // The guest is frozen, and its state saved.
  Result<void> finish();
  // Ends it, wherever it is; its statistics stay.
  void stop();
  // The connection has taken everything that was sent.
  void on_drained();
  void set_limits(uint64_t max_bandwidth, uint64_t downtime_limit_ms);

  RamStatistics statistics() const { return source_.statistics(); }
  // How long sending the rest would take now, in ms.
  uint64_t expected_downtime_ms() const;

 private:
  enum class Phase { kRounds, kConverged, kRest, kFinished };

  void pump();
  Result<void> send_next();
  Result<void> end_round();
  Result<void> pump_later(uint64_t delay_us);
  Result<void> watch_progress();

  Environment environment_;
  RamSource source_;
  RateLimit rate_;
  Phase phase_ = Phase::kRounds;
  event::Watch next_;
  event::Watch stall_;
  uint64_t sent_bytes_ = 0;  // when it was last looked at
};

}  // namespace pagurus::migration
