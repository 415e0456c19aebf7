// Time by the TSC, and KVM's paravirtual clock beside it.
#pragma once

#include <cstdint>

#include "guest/text.h"

namespace pagurus::guest {

// Finds the TSC frequency once at boot and converts.  Where it came from is part of the boot report because a wrong
// frequency makes every measured pause wrong.  Conversion is a multiplication: no division in hot paths.
class Clock {
 public:
  // Sources in this order: the word probe.tsc_khz=, CPUID 0x15, KVM's pvclock, CPUID 0x40000010, PIT channel 2.
  void init();

  uint64_t khz() const { return khz_; }
  TextView source() const { return source_; }

  uint64_t to_ns(uint64_t tsc) const {
    return static_cast<uint64_t>((static_cast<unsigned __int128>(tsc) * ns_multiplier_) >> 32);
  }
  uint64_t from_us(uint64_t us) const { return us * khz_ / 1000; }

  // Nanoseconds of KVM's clock; 0 where there is none.
  uint64_t kvmclock_ns() const;

 private:
  void use(uint64_t khz, TextView source);
  bool try_pvclock();
  void calibrate_by_pit();

  uint64_t khz_ = 0;
  uint64_t ns_multiplier_ = 0;  // nanoseconds per tick, 32.32 fixed point
  TextView source_;
  bool has_pvclock_ = false;
};

Clock& clock();

// Busy waiting; for boot only.
void delay_us(uint64_t us);

}  // namespace pagurus::guest
