// A blocking QMP client: one command at a time, with a limit to every wait.
//
// Events that arrive meanwhile are kept, oldest first, until they are asked for.
//
// Threads: one at a time.
#pragma once

#include <deque>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "ctl/patience.h"
#include "qapi/json.h"
#include "qapi/json_reader.h"

namespace pagurus::ctl {

class QmpClient {
 public:
  // Connects, reads the greeting, negotiates.
  static Result<QmpClient> connect(const std::string& path, Patience patience);
  // The same over a connected socket.  peer: how messages name the other side.
  static Result<QmpClient> over(UniqueFd socket, std::string peer, Patience patience);

  void set_patience(Patience patience) { patience_ = patience; }
  const Patience& patience() const { return patience_; }

  // The value of "return".  An error reply becomes "PEER refused 'command': its words".
  Result<qapi::Json> execute(const std::string& command, qapi::Json arguments = {});
  // The next event; nothing if none came within `ms`.
  Result<std::optional<qapi::Json>> next_event(int64_t ms);

 private:
  enum class Wait { kReadable, kTimeout };

  QmpClient(UniqueFd socket, std::string peer, Patience patience)
      : socket_(std::move(socket)), peer_(std::move(peer)), patience_(patience) {}
  Result<void> negotiate();
  Result<void> send(const std::string& line);
  Result<qapi::Json> receive();
  // Reads what has arrived, within `patience`.
  Result<Wait> read_more(const Patience& patience);
  Result<std::optional<qapi::Json>> parsed();

  UniqueFd socket_;
  std::string peer_;
  Patience patience_;
  qapi::JsonReader reader_{{.max_bytes = 16 * 1024 * 1024, .max_depth = 64}};
  std::deque<qapi::Json> events_;
  uint64_t last_id_ = 0;
};

}  // namespace pagurus::ctl
