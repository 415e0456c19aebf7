// One QMP client.
//
// States:
//
//   greeted ──qmp_capabilities──▶ negotiated ──(end of stream, error, too slow)──▶ closed
//      └───────────────(end of stream, error)────────────────────────────────────────▲
//
// Before it is negotiated, a session executes nothing else and gets no events.  A client that does
// not read its replies is not read from either; one that does not read its events is cut off once
// kMaxQueue bytes wait for it.  Nothing here blocks.
//
// Threads: the control thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "event/loop.h"
#include "monitor/command.h"
#include "qapi/json_reader.h"

namespace pagurus::monitor {

// What a session talks over; the two are the same number for a socket.
struct Stream {
  UniqueFd input;
  UniqueFd output;  // empty: `input` is used both ways
};

class Session {
 public:
  static constexpr size_t kMaxQueue = 1024 * 1024;  // bytes

  // Sends the greeting.  `on_closed` is called once, from the loop or from send_event(); the
  // session must then be destroyed, but not before the call returns.
  static Result<std::unique_ptr<Session>> create(event::Loop& loop, Stream stream, const CommandTable& commands,
                                                 std::function<void()> on_closed);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Ignored before the negotiation.
  void send_event(const qapi::Json& event);
  bool closed() const { return state_ == State::kClosed; }

 private:
  enum class State { kGreeted, kNegotiated, kClosed };

  Session(Stream stream, const CommandTable& commands, std::function<void()> on_closed);
  Result<void> start(event::Loop& loop);
  int output_fd() const { return stream_.output ? stream_.output.get() : stream_.input.get(); }
  void on_input(uint32_t events);
  void on_writable();
  void read_some();
  void execute_pending();
  qapi::Json answer(const Result<qapi::Json>& message);
  Result<qapi::Json> execute(const qapi::Json& message);
  Result<qapi::Json> negotiate(qapi::Arguments arguments);
  void send(const qapi::Json& message);
  void flush();
  void update_watches();
  void close();

  Stream stream_;
  const CommandTable& commands_;
  std::function<void()> on_closed_;
  State state_ = State::kGreeted;
  qapi::JsonReader reader_;
  std::vector<UniqueFd> fds_;  // received, not yet used by a command
  std::string queue_;          // not sent yet
  event::Watch input_watch_;
  event::Watch output_watch_;  // only with a separate output
};

}  // namespace pagurus::monitor
