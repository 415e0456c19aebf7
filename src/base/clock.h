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
// What CLOCK_REALTIME said at a moment of CLOCK_MONOTONIC, unless somebody has set it since.
inline int64_t realtime_at(int64_t moment_ns) { return realtime_ns() - (monotonic_ns() - moment_ns); }

}  // namespace pagurus
