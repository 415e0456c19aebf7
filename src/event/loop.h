// The control loop: one per process, on the main thread, over sd-event.
//
// Everything the control thread does (QMP, the hand-over, timers, consoles, signals) is a callback
// of this loop.  A Watch keeps its callback alive and registered; destroying it, also from inside
// its own callback, ends it.
//
// Threads: everything here belongs to the thread that runs the loop, except post().
#pragma once

#include <sys/epoll.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

struct sd_event;

namespace pagurus::event {

// One registered callback.
class Watch {
 public:
  class Impl;
  Watch();
  explicit Watch(std::unique_ptr<Impl> impl);
  Watch(Watch&&) noexcept;
  Watch& operator=(Watch&&) noexcept;
  ~Watch();

  explicit operator bool() const { return impl_ != nullptr; }
  // For a watched fd: another set of EPOLL* events.
  void set_events(uint32_t events);
  void set_enabled(bool enabled);

 private:
  std::unique_ptr<Impl> impl_;
};

class Loop {
 public:
  static Result<std::unique_ptr<Loop>> create();
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Calls back with the EPOLL* events that are ready.  The fd is borrowed.
  Result<Watch> watch_fd(int fd, uint32_t events, std::function<void(uint32_t)> callback);
  // Calls back once, `delay_us` microseconds from now.
  Result<Watch> after(uint64_t delay_us, std::function<void()> callback);
  // Calls back on a signal; the signal must be blocked in every thread.
  Result<Watch> on_signal(int signal, std::function<void()> callback);
  // Runs `task` on the loop's thread as soon as possible.  Thread-safe.
  void post(std::function<void()> task);

  // Runs until exit(); returns the code given to it.
  Result<int> run();
  void exit(int code);
  // Serves what is ready, or becomes ready within this time, once: for tests, which go on afterwards.
  Result<void> turn(uint64_t wait_us);

 private:
  explicit Loop(sd_event* loop) : loop_(loop) {}
  void run_posted();

  sd_event* loop_;
  UniqueFd posted_event_;
  Watch posted_watch_;
  std::mutex posted_lock_;
  std::vector<std::function<void()>> posted_;  // guarded by posted_lock_
};

}  // namespace pagurus::event
