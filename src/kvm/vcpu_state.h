// The whole state of one vCPU, as it travels to another process.
//
// CPUID is part of it: the guest keeps the features it booted with.  The TSC travels as an offset
// to the host's TSC: where both processes share that, the guest's TSC does not notice the pause.  What
// the guest's TSC read travels too, for a host with another one (Origin::kElsewhere).
#pragma once

#include <vector>

#include "kvm/cpu_types.h"

namespace pagurus::kvm {

inline constexpr uint32_t kMaxCpuidEntries = 256;
inline constexpr uint32_t kMaxMsrs = 1024;
inline constexpr uint32_t kMaxXsaveBytes = 64 * 1024;
inline constexpr uint32_t kLapicBytes = 1024;  // KVM_APIC_REG_SIZE

// KVM_MP_STATE_*, as far as x86 has them.
enum class MpState : uint32_t {
  kRunnable = 0,
  kUninitialized = 1,
  kInitReceived = 2,
  kHalted = 3,
  kSipiReceived = 4,
};

struct VcpuState {
  uint32_t id = 0;
  std::vector<CpuidEntry> cpuid;
  MpState mp_state = MpState::kRunnable;
  Registers registers;
  SystemRegisters system_registers;
  DebugRegisters debug_registers;
  std::vector<Xcr> xcrs;
  std::vector<uint8_t> xsave;
  std::array<uint8_t, kLapicBytes> lapic{};
  // TSC_DEADLINE among them; IA32_TSC only if has_tsc_offset is false.
  std::vector<Msr> msrs;
  uint32_t tsc_khz = 0;
  bool has_tsc_offset = false;
  uint64_t tsc_offset = 0;
  uint64_t guest_tsc = 0;  // with has_tsc_offset: what the guest's TSC read when the state was saved
  Events events;

  static const vmstate::Description& description();
  // Refuses what no vCPU can be in: an MSR or CPUID leaf twice, an xsave area without a header.
  Result<void> validate() const;
};

// A machine's vCPUs, in the order of their ids.
struct VcpuStates {
  std::vector<VcpuState> vcpus;
  static const vmstate::Description& description();
};

}  // namespace pagurus::kvm
