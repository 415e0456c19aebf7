// All QMP clients: their sessions, the way of their commands to the control thread and back, and the
// events for every one of them.
//
//   client ──▶ Session ──execute()──▶ control loop: CommandTable ──▶ Session ──▶ client
//                 └─(out of band)──▶ CommandTable ─────────────────────▲
//   control thread ──post_event()──▶ EventLimiter ──▶ every Session ──▶ client
//
// Replies and events take the same way from the control thread, so a client sees them in the order in
// which they came about; only an event that is limited may come later.
//
// Threads: the I/O thread, except where a comment says otherwise.  Outlives every task that it posts: the
// owner destroys it when neither loop runs any more.
#pragma once

#include <cstdint>
#include <map>
#include <memory>

#include "event/loop.h"
#include "monitor/event_limiter.h"
#include "monitor/session.h"
#include "qapi/command.h"
#include "qapi/event.h"

namespace pagurus::monitor {

class Clients {
 public:
  static constexpr size_t kMaxClients = 128;

  struct Environment {
    event::Loop& loop;     // of the I/O thread
    event::Loop& control;  // where in-band commands are executed
    const qapi::CommandTable& commands;
  };
  explicit Clients(Environment environment);
  ~Clients();
  Clients(const Clients&) = delete;
  Clients& operator=(const Clients&) = delete;

  // Also on the control thread while the I/O thread does not run.
  Result<void> add(Stream stream, Session::Style style = Session::Style::kCompact);
  // Events are told to clients that have negotiated.  at_ns: CLOCK_REALTIME.
  void emit(qapi::Event event, int64_t at_ns);
  // Sends what is still held back.
  void finish();

  // From any thread, in the caller's order.
  void post_client(UniqueFd socket, Session::Style style = Session::Style::kCompact);
  void post_event(qapi::Event event, int64_t at_ns);

 private:
  using Id = uint64_t;

  void execute(Id id, Job job);
  void complete(Id id, Outcome outcome);
  void remove(Id id, Session::End end);
  void broadcast(qapi::Event event, int64_t at_ns);

  Environment environment_;
  EventLimiter limiter_;
  Id last_id_ = 0;
  std::map<Id, std::unique_ptr<Session>> sessions_;
};

}  // namespace pagurus::monitor
