// The source's side of a migration.
//
//   hello ──WELCOME──▶ prepare ──READY──▶ [copy] ──▶ [pre-switchover] ──▶ rest ──▶ switchover ──RUNNING──▶ completed
//     │                   │                  │              │             │           │
//     └── REFUSED, death, time-out, cancel ──┴──────────────┴─────────────┴───────────┴──▶ failed or cancelled
//
// Up to copy the guest runs undisturbed; in pre-switchover and rest (the last of copied RAM) it is held
// still, and a failure only lets it go on.  In switchover STATE is on its way and the ownership word decides: whatever
// happens, settle() asks the word who has the guest.  Where there is no word (TCP), the destination
// asks with LOADED and the source gives the guest away with GO; from then on (`given`) it never takes
// it back by itself.  A file answers nothing: the guest has left when all is on disk.
//
// Stopping, saving and sending are one straight run of code; then the control loop serves everybody
// while the destination loads, so a cancel is heard at any time.
//
// Threads: the control thread.  The owner keeps it until the next migration, for query-migrate.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "event/loop.h"
#include "migration/address.h"
#include "migration/connection.h"
#include "migration/fault.h"
#include "migration/ownership.h"
#include "migration/peer.h"
#include "migration/ram_stream.h"

namespace pagurus::migration {

class Source {
 public:
  struct Environment {
    event::Loop& loop;
    machine::Handover& machine;
    Settings settings;
    std::vector<Extra> extras;
    // Every change of status, the outcome included.  `why`: after a failure the reason; of a completed
    // one what went wrong all the same, mostly empty.
    std::function<void(Status, const std::string& why)> on_status;
    // Something that the operator should know, after a migration that is completed.
    std::function<void(const std::string&)> on_remark;
    Faults& faults;
  };
  // Connects and sends HELLO.
  static Result<std::unique_ptr<Source>> start(Environment environment, const Address& address);

  // Ends it in status cancelled if the guest has not been given away; otherwise it goes on to its end.
  void cancel();
  // Ends the wait in status pre-switchover.
  Result<void> go_on();
  // max-bandwidth and downtime-limit, while RAM is being copied.
  void set_limits(const Parameters& parameters);

  const Timeline& timeline() const { return timeline_; }
  int64_t downtime_ns() const { return downtime_ns_; }
  // Nothing if RAM is not copied.
  std::optional<RamStatistics> ram() const;
  uint64_t expected_downtime_ms() const { return ram_ ? ram_->expected_downtime_ms() : 0; }
  std::vector<std::string> moved() const;

 private:
  enum class Step { kHello, kPrepare, kCopy, kPreSwitchover, kRest, kSwitchover, kGiven, kEnded };

  explicit Source(Environment environment) : environment_(std::move(environment)), timeline_(monotonic_ns()) {}
  Result<void> begin(wire::Channel channel);
  Result<void> await(Step step, uint64_t timeout_ms, const char* complaint);
  void on_message(wire::Message message);
  void give_up(const Error& why);
  Result<void> handle(wire::Message message);
  Result<void> on_welcome(wire::Welcome welcome);
  Result<void> prepare();
  Result<void> send_prepare();
  Result<void> on_ready();
  Result<void> copy();
  Result<void> on_loaded();
  Result<void> on_running(const wire::Running& times);

  Result<void> switch_over();
  Result<void> give();
  Result<std::vector<machine::SavedSection>> save();
  Result<void> send_state();
  void save_to_disk();
  // Whatever ends it before the answer: the guest goes on here, unless it has been taken.
  void settle(Status status, const Error& why);
  Result<void> await_confirmation();
  // The guest was given away, and no answer came: with a word it has been taken, without one nobody knows.
  void end_unconfirmed(const Error& why);
  void commit(const wire::Running* running, const std::string& warning);
  void roll_back(Status status, const Error& why);
  void end(Status status, const std::string& why);

  bool local() const { return parameters().transfer.any(); }
  uint64_t left_ms() const;  // of the pause
  Result<void> before(FaultStep step) { return environment_.faults.reach(step, FaultWhen::kBefore, connection_.get()); }
  Result<void> after(FaultStep step) { return environment_.faults.reach(step, FaultWhen::kAfter, connection_.get()); }
  const Parameters& parameters() const { return environment_.settings.parameters; }

  Environment environment_;
  Timeline timeline_;
  std::unique_ptr<Connection> connection_;
  Step step_ = Step::kHello;
  int64_t step_began_ns_ = 0;
  int64_t stop_ns_ = 0;                       // the beginning of the pause
  int64_t deadline_ns_ = 0;                   // of the pause
  std::vector<machine::SavedSection> saved_;  // until STATE is sent
  std::unique_ptr<RamStream> ram_;            // copied
  std::optional<Ownership> ownership_;
  std::set<std::string> transfer_;  // back ends of devices and extras, by name
  event::Watch timeout_;
  int64_t downtime_ns_ = 0;
};

}  // namespace pagurus::migration
