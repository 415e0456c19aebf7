// This process among the others: going to the background, the pid file, the log.
#pragma once

#include <optional>
#include <string>

#include "app/command_line.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace pagurus::app {

// Makes the stacks of the threads that are created from now on 1 MiB, of which they need little: where the kernel gives
// huge pages without being asked, a stack of the usual 8 MiB gets one of 2 MiB for its first page.
void give_threads_small_stacks();

// Makes room for 4096 descriptors, or as many as the process may have.  In a process with one thread that takes
// nothing; with several, the kernel waits for an RCU grace period each time when its table of descriptors has to grow:
// 8 to 20 ms seen, in the pause of a hand-over that brought the 129th.
void make_room_for_descriptors();

// -daemonize: the process forks at once, before it has threads, and the parent stays until the
// child says that the machine is up; so errors of the start and the exit status reach the caller.
class Background {
 public:
  // Returns in the child only; the parent exits here, with the child's status.
  static Result<Background> enter();
  // Lets the parent exit with 0 and gives up the caller's standard input, output and error.
  void report_ready();

 private:
  explicit Background(UniqueFd ready) : ready_(std::move(ready)) {}

  UniqueFd ready_;
};

// -pidfile: written whole or not at all; removed at the end unless another process (the next one of
// this guest) has put its own id there.
class PidFile {
 public:
  explicit PidFile(std::string path);
  ~PidFile();
  PidFile(const PidFile&) = delete;
  PidFile& operator=(const PidFile&) = delete;

  // Writes this process's id.  Does nothing without a path.
  Result<void> write();

 private:
  std::string path_;  // absolute, or empty
  bool written_ = false;
};

// -D: the log file, opened before the guest starts so that a wrong path costs nothing; empty without -D.
Result<UniqueFd> open_log(const LogTarget& target);
// From now on, standard error is the log file.
Result<void> redirect_log(UniqueFd log);

}  // namespace pagurus::app
