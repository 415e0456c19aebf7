// The destination's side of a migration.
//
//   listening ──connect──▶ hello ──HELLO──▶ welcomed ──PREPARE──▶ ready ──STATE──▶ [loaded ──GO──▶] completed
//       ▲                    │                 │                    │                 │
//       └─ refused, closed ──┴─────────────────┘                    └─────────────────┴──▶ lost
//
// A file is read in the same states, as if every wait were answered at once; it is lost at any failure.
//
// A source that stays silent is given up after a time, so that it cannot keep others out; only in
// `loaded`, where the source may have given the guest away, the end of the connection alone counts.
//
// Until PREPARE nothing of this process has changed, so it goes back to listening after a refusal.
// Once it holds the guest's RAM, a failure makes it useless ("lost"): the source goes on and this
// process ends, or waits for its operator (exit-on-error=false).
//
// Threads: the control thread.
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
#include "migration/ram_sink.h"

namespace pagurus::migration {

class Destination {
 public:
  struct Environment {
    event::Loop& loop;
    machine::Handover& machine;
    // Read when a source connects: they may be set after migrate-incoming.
    std::function<Settings()> settings;
    std::vector<Extra> extras;
    bool stay_paused;
    std::function<void(Status, const std::string& why)> on_status;
    std::function<void(const Error&)> on_lost;
    Faults& faults;
  };
  // Listens there; a file is read from the next turn of the loop on.
  static Result<std::unique_ptr<Destination>> start(Environment environment, const Address& address);

  const Timeline& timeline() const { return timeline_; }
  int64_t downtime_ns() const { return downtime_ns_; }
  std::vector<std::string> moved() const;

 private:
  enum class Step { kListening, kHello, kWelcomed, kReady, kLoaded, kEnded };

  explicit Destination(Environment environment) : environment_(std::move(environment)), timeline_(monotonic_ns()) {}
  Result<void> listen();
  void on_connection();
  Result<void> begin(wire::Channel channel);
  Result<void> await(Step step, uint64_t timeout_ms, const char* what);
  void on_message(wire::Message message, int64_t received_ns);
  Result<void> handle(wire::Message message, int64_t received_ns);
  Result<void> check_mode(const wire::Hello& hello) const;
  Result<void> on_hello(const wire::Hello& hello);
  Result<void> on_prepare(wire::Prepare prepare);
  Result<void> on_prepare_copy(wire::PrepareCopy prepare);
  Result<void> begin_preparing();
  Result<void> finish_preparing(std::vector<wire::SectionData> rehearsal);
  Result<void> on_ram(const wire::Ram& ram);
  Result<void> on_state(wire::State state, int64_t received_ns);
  Result<void> ask_for_the_guest();
  Result<void> on_go();
  Result<void> await_state();
  Result<void> load(std::vector<wire::SectionData> sections);
  Result<void> load_extra(const Extra& extra, wire::SectionData section);
  void enter();
  void tell_the_source();
  Result<void> before(FaultStep step) { return environment_.faults.reach(step, FaultWhen::kBefore, connection_.get()); }
  Result<void> after(FaultStep step) { return environment_.faults.reach(step, FaultWhen::kAfter, connection_.get()); }
  // Where the guest has its owner, or is about to: nothing may fail there.
  void pass(FaultStep step, FaultWhen when) { environment_.faults.pass(step, when, connection_.get()); }
  Error explain(Error error);
  void end(const Error& why);
  void turn_away(const Error& why);

  Environment environment_;
  std::optional<Listener> listener_;  // none: a file
  Timeline timeline_;
  Step step_ = Step::kListening;
  Parameters parameters_;  // as they were when the source connected
  wire::Mode mode_ = wire::Mode::kLocal;
  bool source_may_wait_ = false;
  int64_t prepare_began_ns_ = 0;
  std::optional<RamSink> ram_;  // copied
  // Of STATE.
  bool run_ = false;
  int64_t stop_asked_ns_ = 0;
  wire::Running times_;
  std::unique_ptr<Connection> connection_;
  // Of a source before, until the callback that ended it has returned.
  std::unique_ptr<Connection> former_;
  std::optional<Ownership> ownership_;
  std::set<std::string> transfer_;  // back ends of devices and extras, by name
  event::Watch listen_watch_;
  event::Watch timeout_;
  int64_t downtime_ns_ = 0;
  bool came_in_ = false;
};

}  // namespace pagurus::migration
