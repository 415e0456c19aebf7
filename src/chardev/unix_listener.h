// A listening UNIX stream socket at a path, for -chardev socket and -qmp.
//
// Whoever binds a path owns it: the last owner unlinks it.  After release() another process owns it.
// The path is made with mode 0600: who may connect may control the guest.  (fchmod() before bind()
// does that without a race and without touching the process's umask.)
//
// Threads: one at a time.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace pagurus::chardev {

class UnixListener {
 public:
  // Binds and listens.  A socket that a dead process left behind is removed; one that is alive is
  // refused: "address in use".  So is anything at `path` that is not a socket.
  static Result<UnixListener> bind(const std::string& path);
  // A descriptor that already listens, given by the operator: the path is theirs, never unlinked.
  static Result<UnixListener> of_fd(UniqueFd fd);
  // Taken over from another process.  The path is not ours yet: see take_path().
  static Result<UnixListener> adopt(UniqueFd fd) { return of_fd(std::move(fd)); }

  UnixListener(UnixListener&& other) noexcept;
  UnixListener& operator=(UnixListener&& other) noexcept;
  ~UnixListener();

  // To watch for EPOLLIN, and to hand over.
  int fd() const { return fd_.get(); }
  // The path this process owns; empty if none.
  const std::string& path() const { return path_; }
  // The next client, close-on-exec; nothing if nobody waits.  Never waits.
  Result<std::optional<UniqueFd>> accept() const;
  // Another process owns the path now.
  void release() { path_.clear(); }
  // The other process has released `path` (which may be empty) to this one: after the commit.  A path
  // that this socket is not bound to is not taken.
  void take_path(std::string path);

 private:
  UnixListener(UniqueFd fd, std::string path);
  void unlink_path();

  UniqueFd fd_;
  std::string path_;
  // What was at path_ when we took it: only that is unlinked.
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

}  // namespace pagurus::chardev
