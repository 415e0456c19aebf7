// Events that may come in bursts, at most one in a while: the first is sent at once, and of those that
// come before the interval is over only the last, when it is over.  So a client always learns the
// state at the end of a burst.
//
// A held-back event keeps the time stamp of the moment in which it happened.
//
// Threads: the monitor's I/O thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "event/loop.h"
#include "qapi/event.h"

namespace pagurus::monitor {

struct EventLimit {
  std::string_view event;
  uint32_t interval_ms;
  // A member of the data: events that differ in it are limited each for itself.  Empty: none.
  std::string_view key;
};

// The limits in force.  What is not in the table is not limited: every change of the run state and of a
// hand-over is told.
std::span<const EventLimit> event_limits();

class EventLimiter {
 public:
  using Send = std::function<void(qapi::Event event, int64_t at_ns)>;

  // send: called from submit(), deliver_held() and the loop.  limits: outlive the limiter.
  EventLimiter(event::Loop& loop, Send send, std::span<const EventLimit> limits = event_limits())
      : loop_(loop), send_(std::move(send)), limits_(limits) {}

  void submit(qapi::Event event, int64_t at_ns);
  // Sends what is held back now: nobody will be there later.
  void deliver_held();

 private:
  struct Held {
    qapi::Event event;
    int64_t at_ns;
  };
  // Exists while its interval runs.
  struct Series {
    event::Watch timer;
    std::optional<Held> held;
  };

  const EventLimit* limit_of(std::string_view event) const;
  void start_interval(const std::string& key, uint32_t interval_ms);
  void end_interval(const std::string& key, uint32_t interval_ms);

  event::Loop& loop_;
  Send send_;
  std::span<const EventLimit> limits_;
  std::map<std::string, Series> series_;
};

}  // namespace pagurus::monitor
