// Notices when the guest's own time had a hole: a pause, as the guest saw it.
#pragma once

#include <cstdint>

#include "guest/clock.h"

namespace pagurus::guest {

struct Gap {
  uint64_t start;  // TSC: when the guest should have gone on
  uint64_t end;    // TSC: when it did
};

// Gaps of one processor.
//
// The loop of that processor calls observe() with "I expected to be here at `expected`, and it is `now`"; spinning,
// the expectation is the reading before; sleeping, it is the tick that was armed.  Time that the probe knowingly
// spends itself (formatting a reply, verifying all RAM) is taken out by forgive() and added up, so that it is
// neither called a pause nor forgotten.
//
// Threads: written by its own processor only; others read single words, and ask for a new window by
// request_reset(), which the owner obeys at its next observation.
class GapTracker {
 public:
  static constexpr unsigned kThresholds = 5;
  static constexpr uint64_t kThresholdUs[kThresholds] = {100, 300, 1000, 10000, 100000};
  static constexpr unsigned kRemembered = 16;

  void init(uint64_t now, uint64_t remember_from_us) {
    for (unsigned i = 0; i < kThresholds; ++i) threshold_tsc_[i] = clock().from_us(kThresholdUs[i]);
    remember_tsc_ = clock().from_us(remember_from_us);
    start_window(now);
  }

  // Returns true if this gap is the longest of the window and worth a line on the serial port.
  bool observe(uint64_t expected, uint64_t now) {
    if (reset_requested_) start_window(now);
    ++observations_;
    if (static_cast<int64_t>(now - last_) < 0) ++backwards_;
    last_ = now;
    const auto length = static_cast<int64_t>(now - expected);
    if (length <= 0) return false;
    if (static_cast<uint64_t>(length) < threshold_tsc_[0]) {
      if (static_cast<uint64_t>(length) > longest()) longest_ = {expected, now};
      return false;
    }
    return record({expected, now});
  }

  void forgive(uint64_t start, uint64_t end) {
    forgiven_ += end - start;
    last_ = end;
  }

  void request_reset() { reset_requested_ = true; }

  uint64_t longest() const { return longest_.end - longest_.start; }
  const Gap& longest_gap() const { return longest_; }
  uint64_t longest_ever() const { return longest_ever_ > longest() ? longest_ever_ : longest(); }
  uint64_t over_threshold(unsigned i) const { return over_[i]; }
  uint64_t window_start() const { return window_start_; }
  uint64_t observations() const { return observations_; }
  uint64_t backwards() const { return backwards_; }
  uint64_t forgiven() const { return forgiven_; }
  uint64_t remembered() const { return remembered_; }
  // The i-th newest of the remembered gaps, i < min(remembered(), kRemembered).
  const Gap& recent(unsigned i) const { return recent_[(remembered_ - 1 - i) % kRemembered]; }

 private:
  void start_window(uint64_t now) {
    longest_ever_ = longest_ever();
    longest_ = {now, now};
    for (uint64_t& count : over_) count = 0;
    remembered_ = 0;
    forgiven_ = 0;
    observations_ = 0;
    window_start_ = now;
    reset_requested_ = false;
  }

  bool record(Gap gap) {
    const uint64_t length = gap.end - gap.start;
    for (unsigned i = 0; i < kThresholds && length >= threshold_tsc_[i]; ++i) ++over_[i];
    if (length >= remember_tsc_) recent_[remembered_++ % kRemembered] = gap;
    if (length <= longest()) return false;
    longest_ = gap;
    return length >= remember_tsc_;
  }

  uint64_t threshold_tsc_[kThresholds] = {};
  uint64_t remember_tsc_ = 0;
  uint64_t over_[kThresholds] = {};
  Gap longest_ = {};
  Gap recent_[kRemembered] = {};
  uint64_t remembered_ = 0;
  uint64_t longest_ever_ = 0;
  uint64_t window_start_ = 0;
  uint64_t observations_ = 0;
  uint64_t forgiven_ = 0;
  uint64_t backwards_ = 0;
  uint64_t last_ = 0;
  volatile bool reset_requested_ = false;
};

}  // namespace pagurus::guest
