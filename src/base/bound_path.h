// The path that a UNIX socket of this process is bound to.
//
// Whoever binds a path owns it: the last owner unlinks it.  After release() another process owns it.
// The path is made with mode 0600: who may connect may control the guest, or is its network.  (fchmod() before
// bind() does that without a race and without touching the process's umask.)
//
// Threads: one at a time.
#pragma once

#include <sys/types.h>

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace pagurus {

// A non-blocking socket of this type (SOCK_*), bound.  A socket that a dead process left behind is removed;
// one that is alive is refused: "address in use".  So is anything at `path` that is not a socket.
Result<UniqueFd> bind_unix(const std::string& path, int type);

class BoundPath {
 public:
  BoundPath() = default;
  BoundPath(BoundPath&& other) noexcept;
  BoundPath& operator=(BoundPath&& other) noexcept;
  ~BoundPath();

  // The path this process owns; empty if none.
  const std::string& path() const { return path_; }
  // `path` (which may be empty) is this process's now.  One that the socket is not bound to is not taken.
  void take(int fd, std::string path);
  // Another process owns the path now.
  void release() { path_.clear(); }

 private:
  void unlink_path();

  std::string path_;
  // What was at path_ when we took it: only that is unlinked.
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

}  // namespace pagurus
