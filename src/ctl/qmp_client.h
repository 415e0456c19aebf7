// A blocking QMP client: one command at a time, with a limit to every wait.
//
// Events that arrive meanwhile are kept, oldest first, until they are asked for; or they go to a handler.
//
// Threads: one at a time.
#pragma once

#include <deque>
#include <functional>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "ctl/patience.h"
#include "qapi/json.h"
#include "qapi/json_reader.h"

namespace pagurus::ctl {

struct QmpRequest {
  std::string command;
  qapi::Json arguments = {};  // null: none
  // An out-of-band command may overtake others.
  enum class Band { kIn, kOut } band = Band::kIn;
};

// A command that the peer has refused.
struct Refusal {
  std::string error_class;  // as QMP spells it: GenericError, CommandNotFound, ...
  std::string words;
};

class QmpClient {
 public:
  // kOutOfBand: asks for that capability, where the peer offers it.
  enum class Bands { kInBand, kOutOfBand };

  // Connects, reads the greeting, negotiates.
  static Result<QmpClient> connect(const std::string& path, Patience patience, Bands bands = Bands::kInBand);
  // The same over a connected socket.  peer: how messages name the other side.
  static Result<QmpClient> over(UniqueFd socket, std::string peer, Patience patience, Bands bands = Bands::kInBand);

  void set_patience(Patience patience) { patience_ = patience; }
  const Patience& patience() const { return patience_; }

  // The value of "return", or the refusal.  Fails if there is no answer.
  using Answer = std::expected<qapi::Json, Refusal>;
  Result<Answer> ask(QmpRequest request);
  // The value of "return".  An error reply becomes "PEER refuses 'command': its words".
  Result<qapi::Json> execute(const std::string& command, qapi::Json arguments = {});

  // The next event; nothing if none came within `ms`.
  Result<std::optional<qapi::Json>> next_event(int64_t ms);
  // From now on events are given to `handler` as they are read, which ask() and receive_events() do.
  void set_event_handler(std::function<void(const qapi::Json&)> handler) { handler_ = std::move(handler); }
  // Reads what has arrived, without waiting.
  Result<void> receive_events();
  // Readable when there is something to read.
  int fd() const { return socket_.get(); }
  // The connection has ended; nothing more will come.
  bool closed() const { return closed_; }

 private:
  enum class Wait { kReadable, kTimeout };

  QmpClient(UniqueFd socket, std::string peer, Patience patience)
      : socket_(std::move(socket)), peer_(std::move(peer)), patience_(patience) {}
  Result<void> negotiate(Bands bands);
  Result<void> send(const std::string& line);
  Result<qapi::Json> receive();
  // Reads what has arrived, within `patience`.
  Result<Wait> read_more(const Patience& patience);
  Result<std::optional<qapi::Json>> parsed();
  void take_event(qapi::Json event);
  std::unexpected<Error> lost(int error);

  UniqueFd socket_;
  std::string peer_;
  Patience patience_;
  qapi::JsonReader reader_{{.max_bytes = 16 * 1024 * 1024, .max_depth = 64}};
  std::deque<qapi::Json> events_;
  std::function<void(const qapi::Json&)> handler_;
  bool closed_ = false;
  uint64_t last_id_ = 0;
};

}  // namespace pagurus::ctl
