// The thread on which the QMP clients are served: an event loop of its own, so that a client is heard
// while the control thread is busy, and the control thread never waits for a client.
//
// States:  made ──start()──▶ running ──stop()──▶ stopped
// While it is made or stopped, what belongs to the loop may be touched by the owner's thread.
//
// Threads: start() and stop() on the control thread; tasks come over loop().post().
#pragma once

#include <functional>
#include <memory>
#include <thread>

#include "event/loop.h"

namespace pagurus::monitor {

class IoThread {
 public:
  // Signals that others serve must be blocked when it starts: it inherits the mask.
  static Result<std::unique_ptr<IoThread>> create();
  ~IoThread();
  IoThread(const IoThread&) = delete;
  IoThread& operator=(const IoThread&) = delete;

  event::Loop& loop() { return *loop_; }
  void start();
  // Runs everything that has been posted, then `last`, and ends the thread.  Idempotent.
  void stop(std::function<void()> last);

 private:
  explicit IoThread(std::unique_ptr<event::Loop> loop) : loop_(std::move(loop)) {}

  std::unique_ptr<event::Loop> loop_;
  std::thread thread_;
};

}  // namespace pagurus::monitor
