// The destination's side of a hand-over.
//
//   listening ──connect──▶ hello ──HELLO──▶ welcomed ──PREPARE──▶ ready ──STATE──▶ completed
//       ▲                    │                 │                    │
//       └─ refused, closed ──┴─────────────────┘                    └──▶ lost
//
// A source that stays silent is given up after a time, so that it cannot keep others out.
//
// Until PREPARE nothing of this process has changed, so it goes back to listening after a refusal.
// Once it holds the guest's RAM, a failure makes it useless ("lost"): the source goes on and this
// process ends.
//
// Threads: the control thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "chardev/unix_listener.h"
#include "event/loop.h"
#include "migration/ownership.h"
#include "migration/peer.h"
#include "wire/channel.h"

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
  };
  // Listens at `path`.
  static Result<std::unique_ptr<Destination>> start(Environment environment, const std::string& path);

  const Timeline& timeline() const { return timeline_; }
  int64_t downtime_ns() const { return downtime_ns_; }
  std::vector<std::string> moved() const;

 private:
  enum class Step { kListening, kHello, kWelcomed, kReady, kEnded };

  Destination(Environment environment, chardev::UnixListener listener)
      : environment_(std::move(environment)), listener_(std::move(listener)), timeline_(monotonic_ns()) {}
  Result<void> listen();
  void on_connection();
  Result<void> accept(UniqueFd socket);
  Result<void> await(Step step, uint64_t timeout_us, const char* what);
  void on_readable();
  void on_peer_death();
  Result<void> handle(wire::Message message, int64_t received_ns);
  Result<void> on_hello(const wire::Hello& hello);
  Result<void> on_prepare(wire::Prepare prepare);
  Result<void> on_state(wire::State state, int64_t received_ns);
  Result<void> load(std::vector<wire::SectionData> sections);
  void enter(const wire::State& state, wire::Running times);
  Error explain(Error error);
  void end(const Error& why);

  Environment environment_;
  std::optional<chardev::UnixListener> listener_;
  Timeline timeline_;
  Step step_ = Step::kListening;
  std::optional<wire::Channel> channel_;
  std::optional<Ownership> ownership_;
  std::set<std::string> transfer_;  // back ends of devices and extras, by name
  event::Watch listen_watch_;
  event::Watch socket_watch_;
  event::Watch death_watch_;
  event::Watch timeout_;
  int64_t downtime_ns_ = 0;
};

}  // namespace pagurus::migration
