// When to tell the network where a guest is that has come from elsewhere: more than once, because such
// a frame may be lost, with growing intervals, QEMU's defaults (announce-rounds, -initial, -step, -max).
//
// Threads: the control thread.
#pragma once

#include <functional>

#include "event/loop.h"

namespace pagurus::machine {

class Announcer {
 public:
  explicit Announcer(event::Loop& loop) : loop_(loop) {}

  // Calls `announce` in the loop's next turn, and then after 50, 150, 250 and 350 ms more.  Ends what an
  // earlier start() has begun.
  void start(std::function<void()> announce);

 private:
  void wait(uint64_t delay_ms);
  void announce_once();

  event::Loop& loop_;
  std::function<void()> announce_;
  unsigned rounds_left_ = 0;
  event::Watch timer_;
};

}  // namespace pagurus::machine
