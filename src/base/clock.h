// Reading the host's clocks, in nanoseconds.
#pragma once

#include <time.h>

#include <cstdint>

namespace pagurus {

inline int64_t clock_ns(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

// CLOCK_MONOTONIC: the same for all processes of the host, so two processes can compare it.
inline int64_t monotonic_ns() { return clock_ns(CLOCK_MONOTONIC); }
// CLOCK_REALTIME, for time stamps that people and tools read.
inline int64_t realtime_ns() { return clock_ns(CLOCK_REALTIME); }

// A moment by both.
struct Instant {
  int64_t monotonic_ns;
  int64_t realtime_ns;

  static Instant now() { return {.monotonic_ns = pagurus::monotonic_ns(), .realtime_ns = pagurus::realtime_ns()}; }
};

}  // namespace pagurus
