// Shell: executes lines, one command each, over a connection that outlives the processes behind it.
//
// It knows no terminal: text goes to the two functions of its output, lines come from outside.
//
//          line          ┌────────────┐  the process goes: reopen()   ┌──────┐
//   ──────────────────▶  │ connected  │ ────────────────────────────▶ │ lost │  fails every line from then on
//                        └────────────┘ ◀──┘ another one answers      └──────┘
//
// Threads: one.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "ctl/connection.h"

namespace pagurus::ctl {

// What an event looks like to a person: "12:00:01.250 STOP", with its data as JSON if it has any.
std::string event_text(const qapi::Json& event);

class Shell {
 public:
  struct Output {
    std::function<void(const std::string&)> show;      // text that ends with a newline
    std::function<void(const std::string&)> complain;  // a sentence
    std::function<size_t()> width;                     // characters in a line
  };
  enum class Outcome { kDone, kFailed, kLeave };

  Shell(Connection& connection, Output output) : connection_(connection), output_(std::move(output)) {}

  Outcome execute(std::string_view line);
  // Reads the events that have arrived.  False: there is no connection any more, and none to be had.
  bool receive_events();
  bool lost() const { return lost_; }
  // It was lost because the process has been told to quit.
  bool ended() const { return lost_ && ending_; }

 private:
  Outcome execute_command(std::span<const std::string> words, QmpRequest::Band band);
  Outcome help(std::span<const std::string> words);
  // Says why the connection ended, and tries to have another.
  void reconnect(const Error& error);

  Connection& connection_;
  Output output_;
  bool ending_ = false;  // the process has been told to quit
  bool lost_ = false;
};

}  // namespace pagurus::ctl
