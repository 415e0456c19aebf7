// A queue worker: a thread that serves the file descriptors of one device's queues, and that can be
// frozen between two callbacks.
//
// States (the worker is created frozen):
//
//   frozen ──thaw()──▶ running ──request_freeze()──▶ freezing ──(callback in progress ends)──▶ frozen
//
// While it is frozen no callback runs and the thread touches nothing; file descriptors may be added
// and removed only then, or from a callback of the worker itself.  One that waits for events is frozen
// where it is: a pause does not wake it.
//
// Threads: the owner's threads, one at a time (its lock sees to that), call everything; callbacks
// run on the worker's thread.
#pragma once

#include <sys/epoll.h>

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace pagurus::event {

class Worker {
 public:
  // name: shown in ps and gdb, at most 15 bytes.
  static Result<std::unique_ptr<Worker>> create(std::string name);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Calls back with the EPOLL* events that are ready (level-triggered).  The fd is borrowed and
  // must be removed before it is closed.
  Result<void> add(int fd, uint32_t events, std::function<void(uint32_t)> callback);
  // Another set of events; 0 keeps the fd but silences it.
  void modify(int fd, uint32_t events);
  void remove(int fd);

  // Asks the worker to freeze and returns at once; several workers can be asked before the first
  // wait.  Idempotent.
  void request_freeze();
  void wait_frozen();
  void freeze() {
    request_freeze();
    wait_frozen();
  }
  void thaw();
  bool frozen() const;
  // For a callback that could also end here, and go on after the thaw.
  bool asked_to_freeze() const;

 private:
  struct Entry {
    int fd;
    std::function<void(uint32_t)> callback;
  };
  enum class State { kFrozen, kRunning, kFreezing, kStopping };

  Worker(UniqueFd epoll, UniqueFd wake) : epoll_(std::move(epoll)), wake_(std::move(wake)) {}
  void thread_main(const std::string& name);
  bool begin_waiting();
  bool end_waiting();

  UniqueFd epoll_;
  UniqueFd wake_;  // ends the wait for the end of the thread
  // Touched by the worker's thread while running, by the controlling thread while frozen.
  std::vector<std::unique_ptr<Entry>> entries_;
  // Removed, and kept until no callback can be running in them.
  std::vector<std::unique_ptr<Entry>> retired_;
  mutable std::mutex lock_;
  std::condition_variable changed_;
  // Guarded by lock_.
  State state_ = State::kFrozen;
  bool serving_ = false;   // a callback is running, or about to
  bool outdated_ = false;  // what the thread waits for may have been removed
  std::thread thread_;
};

}  // namespace pagurus::event
