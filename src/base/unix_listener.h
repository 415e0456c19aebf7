// A listening UNIX stream socket at a path: consoles, QMP, migrations and networks.
//
// Threads: one at a time.
#pragma once

#include <optional>
#include <string>

#include "base/bound_path.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace pagurus {

class UnixListener {
 public:
  // Binds and listens.  A socket that a dead process left behind is removed; one that is alive is
  // refused: "address in use".  So is anything at `path` that is not a socket.
  static Result<UnixListener> bind(const std::string& path);
  // A descriptor that already listens, given by the operator: the path is theirs, never unlinked.
  static Result<UnixListener> of_fd(UniqueFd fd);
  // Taken over from another process.  The path is not ours yet: see take_path().
  static Result<UnixListener> adopt(UniqueFd fd) { return of_fd(std::move(fd)); }

  // To watch for EPOLLIN, and to hand over.
  int fd() const { return fd_.get(); }
  // The path this process owns; empty if none.
  const std::string& path() const { return path_.path(); }
  // The next client, close-on-exec; nothing if nobody waits.  Never waits.
  Result<std::optional<UniqueFd>> accept() const;
  // Another process owns the path now.
  void release() { path_.release(); }
  // The other process has released `path` (which may be empty) to this one: after the commit.  A path
  // that this socket is not bound to is not taken.
  void take_path(std::string path) { path_.take(fd_.get(), std::move(path)); }

 private:
  UnixListener(UniqueFd fd, std::string path);

  UniqueFd fd_;
  BoundPath path_;
};

}  // namespace pagurus
