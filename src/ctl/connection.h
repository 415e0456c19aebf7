// A shell's connection to whatever process serves a socket: the process may be replaced meanwhile.
//
// Threads: one.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/result.h"
#include "ctl/introspection.h"
#include "ctl/qmp_client.h"

namespace pagurus::ctl {

class Connection {
 public:
  struct Options {
    std::string path;
    int64_t timeout_ms;  // for one command
    int interrupt_fd;    // borrowed
    std::function<void(const qapi::Json&)> on_event;
  };

  static Result<Connection> open(Options options);

  // The answer to one command, with its own time.
  Result<QmpClient::Answer> ask(QmpRequest request);
  // Connects to the process that serves the socket now, which may need a moment to begin with it.
  Result<void> reopen();

  QmpClient& client() { return *client_; }
  // nullptr if the server does not describe its commands.
  const Introspection* introspection() const { return introspection_ ? &*introspection_ : nullptr; }
  // Who answers: "process 17, version 1.1.0".
  const std::string& server() const { return server_; }

 private:
  explicit Connection(Options options) : options_(std::move(options)) {}
  Result<void> connect(Patience patience);

  Options options_;
  std::optional<QmpClient> client_;
  std::optional<Introspection> introspection_;
  std::string server_;
};

}  // namespace pagurus::ctl
