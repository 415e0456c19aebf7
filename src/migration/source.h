// The source's side of a hand-over.
//
//   hello ──WELCOME──▶ prepare ──READY──▶ (the pause) ──RUNNING──▶ completed
//     │                   │                    │
//     └── REFUSED, death, time-out, cancel ────┴──▶ failed or cancelled: the guest runs on here
//
// Up to READY everything is driven by the control loop and the guest runs undisturbed.  The pause
// itself is one straight run of code on the control thread, bounded by downtime-limit, because
// nothing else may delay it.
//
// Threads: the control thread.  The owner keeps it until the next hand-over, for query-migrate.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "event/loop.h"
#include "migration/ownership.h"
#include "migration/peer.h"
#include "wire/channel.h"

namespace pagurus::migration {

class Source {
 public:
  struct Environment {
    event::Loop& loop;
    machine::Handover& machine;
    Parameters parameters;
    std::vector<Extra> extras;
    // Every change of status, the outcome included; `why` is empty unless it failed.
    std::function<void(Status, const std::string& why)> on_status;
  };
  // Connects and sends HELLO.
  static Result<std::unique_ptr<Source>> start(Environment environment, const std::string& path);

  // Ends it in state cancelled, if it has not ended; the pause does not yield to the control loop,
  // so this is always before it.
  void cancel();

  const Timeline& timeline() const { return timeline_; }
  int64_t downtime_ns() const { return downtime_ns_; }
  std::vector<std::string> moved() const;

 private:
  enum class Step { kHello, kPrepare, kEnded };

  Source(Environment environment, wire::Channel channel)
      : environment_(std::move(environment)), channel_(std::move(channel)), timeline_(monotonic_ns()) {}
  Result<void> send_hello();
  Result<void> await(Step step, uint64_t timeout_us);
  void on_readable();
  void on_peer_death();
  Result<void> handle(wire::Message message);
  Result<void> on_welcome(wire::Welcome welcome);
  void hand_over();
  Result<wire::State> freeze_and_save(int64_t stop_ns);
  Result<wire::Running> send_state(const wire::State& state, int64_t deadline_ns);
  void commit(int64_t stop_ns, const wire::Running* running);
  void roll_back(const Error& why);
  void end(Status status, const std::string& why);

  Environment environment_;
  wire::Channel channel_;
  Timeline timeline_;
  Step step_ = Step::kHello;
  int64_t step_began_ns_ = 0;
  std::optional<Ownership> ownership_;
  std::set<std::string> transfer_;  // back ends of devices and extras, by name
  event::Watch socket_watch_;
  event::Watch death_watch_;
  event::Watch timeout_;
  int64_t downtime_ns_ = 0;
};

}  // namespace pagurus::migration
