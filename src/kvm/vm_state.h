// The state of a VM's in-kernel devices: interrupt controllers, timer, clock.
//
// The chips travel as the kernel's structures, whose layout is its ABI.
#pragma once

#include <array>
#include <cstdint>

#include "vmstate/description.h"

namespace pagurus::kvm {

// Where a state that is loaded was saved, and with it how the guest's clocks go on.
enum class Origin {
  // By this host's running kernel.  Its clocks and its TSC tell how long ago that was, so the guest's
  // clocks continue as if they had never stopped.
  kThisHost,
  // On another host, or before this one was started.  The guest's TSC and kvmclock continue at what
  // they showed when the state was saved: for the guest no time has passed.
  kElsewhere,
};

// kvmclock at an instant, which is told in the host's clocks for a receiver that shares them.
struct ClockState {
  uint64_t guest_ns = 0;
  // CLOCK_MONOTONIC_RAW, whose rate kvmclock has, just before guest_ns was read.
  uint64_t host_raw_ns = 0;
  // The host's TSC at exactly guest_ns, if KVM told it (it does while all vCPUs' TSCs agree).
  bool has_host_tsc = false;
  uint64_t host_tsc = 0;
  static const vmstate::Description& description();
};

struct VmState {
  std::array<uint8_t, 16> pic_master{};  // kvm_pic_state
  std::array<uint8_t, 16> pic_slave{};
  std::array<uint8_t, 216> ioapic{};  // kvm_ioapic_state
  std::array<uint8_t, 112> pit{};     // kvm_pit_state2
  ClockState clock;
  static const vmstate::Description& description();
};

}  // namespace pagurus::kvm
