// The process that is to take the guest over: started by us, talked to over a socket pair, and ended
// by us unless the hand-over succeeds.
//
// States:  started ──keep()──▶ kept (runs on without us)
//             └──end(), destructor──▶ gone and reaped
//
// Its standard error comes to us while it starts, so that we can say why it ended; it turns to its
// log once it is up.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "ctl/running_process.h"

namespace pagurus::ctl {

class Successor {
 public:
  // log: becomes its standard output and its log.
  static Result<Successor> start(const std::vector<std::string>& arguments, const RunningProcess& model, UniqueFd log);
  Successor(Successor&& other) noexcept;
  Successor& operator=(Successor&&) = delete;
  ~Successor();

  pid_t pid() const { return pid_; }
  // Our end of the control connection; once.
  UniqueFd take_control() { return std::move(control_); }

  // If it has ended: how, and the last lines it wrote.  Empty if it still runs.
  std::string obituary();
  // Asks it to end, then makes it.
  void end();
  void keep() { pid_ = -1; }

 private:
  Successor(pid_t pid, UniqueFd control, UniqueFd messages)
      : pid_(pid), control_(std::move(control)), messages_(std::move(messages)) {}
  bool reap(int64_t wait_ms);
  std::string read_messages() const;

  pid_t pid_;  // -1: kept, or gone
  UniqueFd control_;
  UniqueFd messages_;
  int status_ = 0;
  bool ended_ = false;
};

}  // namespace pagurus::ctl
