// How fast the source may send: `max-bandwidth`, as a bucket that fills at that rate and holds what
// flows in a tenth of a second.  Spending more than is there is allowed once (messages are whole) and
// makes the next wait longer.
//
// Threads: one.  Times are CLOCK_MONOTONIC in ns, given by the caller, and never go back.
#pragma once

#include <cstdint>

namespace pagurus::migration {

class RateLimit {
 public:
  // bytes_per_s: 0 means unlimited.
  explicit RateLimit(uint64_t bytes_per_s) : bytes_per_s_(bytes_per_s) {}

  // Takes effect at once; what was spent before counts as paid.
  void set(uint64_t bytes_per_s);
  // How many bytes may be sent now; UINT64_MAX if unlimited.
  uint64_t allowed(int64_t now_ns) const;
  void spend(uint64_t bytes, int64_t now_ns);
  // How long to wait until enough may be sent to be worth a message; 0: now.
  int64_t wait_ns(int64_t now_ns) const;

 private:
  uint64_t bytes_per_s_;
  // All that was spent is paid for by what flows until then.
  int64_t paid_ns_ = INT64_MIN;
};

}  // namespace pagurus::migration
