// The process that runs the guest now, as /proc shows it: what a successor must have in common with
// it (binary, working directory, user), and whether it still exists.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "ctl/patience.h"

namespace pagurus::ctl {

class RunningProcess {
 public:
  // Fails if there is no such process.
  static Result<RunningProcess> of(pid_t pid);

  pid_t pid() const { return pid_; }
  uid_t uid() const { return uid_; }
  gid_t gid() const { return gid_; }
  const std::vector<gid_t>& groups() const { return groups_; }
  std::string working_directory() const;  // a path that chdir() understands
  // The file it was started from, at its path of today: an upgrade of the package replaces the file,
  // and the kernel then shows the old one as "PATH (deleted)".  Empty if unknown.
  std::string binary() const;
  // Its standard error: the very same open file if possible, else opened anew.
  Result<UniqueFd> standard_error() const;
  // True once it has ended.
  Result<bool> wait_end(const Patience& patience) const;

 private:
  RunningProcess(pid_t pid, UniqueFd pidfd) : pid_(pid), pidfd_(std::move(pidfd)) {}
  Result<void> read_credentials();

  pid_t pid_;
  UniqueFd pidfd_;
  uid_t uid_ = 0;
  gid_t gid_ = 0;
  std::vector<gid_t> groups_;
};

}  // namespace pagurus::ctl
