// How long to wait, and what may end the waiting earlier.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/clock.h"

namespace pagurus::ctl {

struct Patience {
  int64_t deadline_ns;    // CLOCK_MONOTONIC
  int interrupt_fd = -1;  // borrowed; readable once the person has pressed Ctrl-C

  static Patience of_ms(int64_t ms, int interrupt_fd = -1) { return {monotonic_ns() + ms * 1'000'000, interrupt_fd}; }
  bool over() const { return monotonic_ns() >= deadline_ns; }
  // For poll(): milliseconds, rounded up.
  int remaining_ms() const {
    return static_cast<int>(std::clamp<int64_t>((deadline_ns - monotonic_ns() + 999'999) / 1'000'000, 0, INT32_MAX));
  }
  // The same interruption, but not longer than `ms` from now.
  Patience at_most_ms(int64_t ms) const {
    return {std::min(deadline_ns, monotonic_ns() + ms * 1'000'000), interrupt_fd};
  }
};

}  // namespace pagurus::ctl
