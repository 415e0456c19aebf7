// Notification coalescing (virtio 1.3, 5.1.6.5.9): one queue's interrupt waits until more packets have passed,
// or until it has waited long enough, as the driver has set it.
//
// An interrupt that waits is owed to the driver: due() or expired() says when to send it, or somebody takes it who
// cannot wait, and only the end of the driver's session forgets it.  It is sent even if the driver has meanwhile
// asked for none: that does no harm.
//
// Threads: one at a time; the timer's descriptor is watched by the queue's worker.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <utility>

#include "base/result.h"
#include "base/unique_fd.h"

namespace pagurus::device {

// Zeros until the driver sets them.
struct CoalescingLimits {
  uint32_t max_packets = 0;  // 0: only time is a limit
  uint32_t max_usecs = 0;    // 0: nothing waits, as it might wait for ever for more packets

  bool operator==(const CoalescingLimits&) const = default;
  // A struct virtio_net_ctrl_coal; nothing for any other size.
  static std::optional<CoalescingLimits> parse(std::span<const uint8_t> data);
};

class Coalescing {
 public:
  static Result<Coalescing> create();

  // Readable when expired() is to be called.
  int timer_fd() const { return timer_.get(); }

  // `packets` have passed in all, and if `wanted`, the driver is to be told of the last ones.  Whether it is to be
  // told now; then nothing waits any more.
  [[nodiscard]] bool due(const CoalescingLimits& limits, bool wanted, uint64_t packets);
  // The same when the time has come.
  [[nodiscard]] bool expired();
  // Whether an interrupt waits; it does no more.
  [[nodiscard]] bool take() { return std::exchange(waits_, false); }
  // None waits, and `packets` have passed in all.
  void restart(uint64_t packets);

 private:
  explicit Coalescing(UniqueFd timer) : timer_(std::move(timer)) {}
  void set_timer(uint32_t usecs) const;

  UniqueFd timer_;  // may run on when nothing waits any more
  bool waits_ = false;
  uint64_t packets_ = 0;  // in all
  uint64_t held_ = 0;     // of these, those of the interrupt that waits
};

}  // namespace pagurus::device
