// How long to wait, and what may end the waiting earlier.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/clock.h"
#include "base/result.h"

namespace pagurus::ctl {

struct Patience {
  int64_t deadline_ns;    // CLOCK_MONOTONIC
  int interrupt_fd = -1;  // borrowed; readable once the person has pressed Ctrl-C

  // Only an interruption ends it.
  static Patience endless(int interrupt_fd) { return {INT64_MAX, interrupt_fd}; }
  static Patience of_ms(int64_t ms, int interrupt_fd = -1) { return {monotonic_ns() + ms * 1'000'000, interrupt_fd}; }
  bool over() const { return monotonic_ns() >= deadline_ns; }
  // For poll(): milliseconds, rounded up.
  int remaining_ms() const {
    int64_t left_ns = deadline_ns - monotonic_ns();
    return static_cast<int>(std::clamp<int64_t>(left_ns / 1'000'000 + (left_ns % 1'000'000 > 0), 0, INT32_MAX));
  }
  // The same interruption, but not longer than `ms` from now.
  Patience at_most_ms(int64_t ms) const {
    return {std::min(deadline_ns, monotonic_ns() + ms * 1'000'000), interrupt_fd};
  }
};

// Until poll() sees one of `events`.  Fails on an interruption.
enum class Ready { kYes, kTimeout };
Result<Ready> wait_for(int fd, short events, const Patience& patience);

}  // namespace pagurus::ctl
