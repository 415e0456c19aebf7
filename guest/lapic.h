// The local APIC in xAPIC mode: end of interrupt is in interrupts.S; here are set-up, timer and directed IPIs.
#pragma once

#include <cstdint>

namespace pagurus::guest {

// Enables the calling processor's local APIC.
void enable_lapic();
uint8_t lapic_id();

// INIT, or start-up at page `page`, sent to one processor.  No shorthand: broadcasts are not to be relied on.
void send_init(uint8_t apic_id);
void send_startup(uint8_t apic_id, uint8_t page);

// A timer of the calling processor that ticks at absolute TSC times.
//
// Modes: `deadline` writes IA32_TSC_DEADLINE, `oneshot` loads the count-down register with the time that is left.
// Both are rearmed by rearm() after each tick, so a late tick never makes the following ones late too.
class TickTimer {
 public:
  enum class Mode : uint8_t { off, deadline, oneshot };

  // The mode is taken from the word probe.timer=; by default `deadline` if the processor has it.
  // Calibrates the count-down clock against the TSC where it needs to (takes 2 ms).
  void init(uint8_t vector, uint64_t period_tsc);

  bool enabled() const { return mode_ != Mode::off; }
  Mode mode() const { return mode_; }
  uint64_t next() const { return next_; }

  // Sets the next tick one period after `now`.
  void rearm(uint64_t now);

 private:
  Mode mode_ = Mode::off;
  uint64_t period_ = 0;
  uint64_t next_ = 0;
  uint64_t counts_per_tsc_ = 0;  // 32.32 fixed point
};

}  // namespace pagurus::guest
