// One QMP client.
//
// States:
//
//   greeted ──qmp_capabilities──▶ negotiated ──(end of stream and all answered, error, too slow)──▶ closed
//      └────────────────────────(end of stream, error)──────────────────────────────────────────────▲
//
// Before it is negotiated, a session executes nothing else and gets no events.
//
// In-band requests are answered in the order in which they came, those that are wrong included; one at a
// time is with the executor.  At most kMaxInFlight of them are held, then the client is not read until one
// has been answered.  Out-of-band commands are executed here, at once.  A client that does not read what
// it is sent is not read from either; once kMaxQueue bytes wait for it, the next event cuts it off.
// Nothing here waits.
//
// Descriptors (SCM_RIGHTS) go to the first command that takes them, of those that arrived with them or
// later; those that are left when every command has been answered are closed.
//
// Threads: the monitor's I/O thread.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "event/loop.h"
#include "monitor/protocol.h"
#include "monitor/stream.h"
#include "qapi/command.h"
#include "qapi/json_reader.h"

namespace pagurus::monitor {

// An in-band command on its way to the control thread ...
struct Job {
  std::string command;
  qapi::Json arguments;
  std::vector<UniqueFd> fds;
};

// ... and what comes back.
struct Outcome {
  Result<qapi::Json> result;
  std::vector<UniqueFd> fds;  // that the command did not take
};

class Session {
 public:
  static constexpr size_t kMaxQueue = 1024 * 1024;  // bytes
  static constexpr size_t kMaxInFlight = 8;         // in-band requests

  enum class End {
    kClient,   // it has gone, or has said all it had to say
    kTooSlow,  // it was cut off
  };

  enum class Style {
    kCompact,
    kPretty,  // indented, for people
  };

  struct Environment {
    event::Loop& loop;
    const qapi::CommandTable& commands;
    Style style = Style::kCompact;
    // Executes a job; complete() must follow, later and not from inside this call.
    std::function<void(Job)> execute;
    // Called once; the session must then be destroyed, but not before the call returns.
    std::function<void(End)> on_closed;
  };

  // Sends the greeting.
  static Result<std::unique_ptr<Session>> create(Environment environment, Stream stream);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // The job that was handed out last is done.
  void complete(Outcome outcome);
  // text: from text_of(), in the session's style.  Ignored before the negotiation.
  void send_event(std::string_view text);
  Style style() const { return environment_.style; }

  // A message as it is sent.
  static std::string text_of(const qapi::Json& message, Style style);

 private:
  enum class State { kGreeted, kNegotiated, kClosed };
  struct Item {
    Result<Request> request;  // or why it is none
    std::optional<qapi::Json> id;
    std::vector<UniqueFd> fds;
  };
  struct Running {
    std::optional<qapi::Json> id;
    bool success_response;
  };

  Session(Environment environment, Stream stream) : environment_(std::move(environment)), stream_(std::move(stream)) {}
  Result<void> start();
  void on_ready(uint32_t events);
  void on_writable();
  void read_some();
  void keep(std::vector<UniqueFd> fds);
  size_t held_fds() const;

  void advance();
  void take(Result<qapi::Json> message);
  void start_next();
  void overtake(Item item);
  // nullopt: the command is for the executor.
  std::optional<Result<qapi::Json>> answer_here(const Request& request);
  Result<qapi::Json> execute_out_of_band(Item& item);
  Result<qapi::Json> negotiate(const qapi::Json& arguments);
  size_t in_flight() const { return waiting_.size() + (running_ ? 1 : 0); }
  bool all_answered() const { return in_flight() == 0 && queue_.empty(); }

  void reply(const Result<qapi::Json>& result, const std::optional<qapi::Json>& id);
  void send_message(const qapi::Json& message) { send(text_of(message, style())); }
  void send(std::string_view text);
  void flush();
  void update_watches();
  void close(End end);

  Environment environment_;
  Stream stream_;
  State state_ = State::kGreeted;
  bool oob_enabled_ = false;
  bool input_ended_ = false;
  qapi::JsonReader reader_;
  std::vector<UniqueFd> arrived_;    // since the last message was complete
  std::vector<UniqueFd> unclaimed_;  // of messages that have been started
  std::deque<Item> waiting_;         // in-band, not started
  std::optional<Running> running_;   // with the executor
  std::string queue_;                // not sent yet
  event::Watch input_watch_;
  event::Watch output_watch_;  // only with a separate output
};

}  // namespace pagurus::monitor
