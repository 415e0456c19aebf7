// The state that moves: plain kernel structures, as many as Pagurus moves.  Read and written in the order that
// src/kvm/vcpu_transfer.cc explains.
//
// Threads: one vCPU's state belongs to the thread of that vCPU.
#pragma once

#include <cstdint>
#include <vector>

#include "kvm/kvm_api.h"

namespace pagurus::floor {

struct Vcpu;

inline constexpr uint32_t kMaxMsrs = 512;

// kvm_msrs, with room.
struct MsrBuffer {
  uint32_t count;
  uint32_t padding;
  kvm_msr_entry entries[kMaxMsrs];
};

struct VcpuState {
  kvm_mp_state mp_state;
  kvm_vcpu_events events;
  kvm_regs registers;
  kvm_sregs system_registers;
  kvm_debugregs debug_registers;
  kvm_xcrs xcrs;
  kvm_lapic_state lapic;
  uint64_t tsc_offset;
  alignas(64) uint8_t xsave[16 * 1024];
  MsrBuffer msrs;
};

struct VmState {
  kvm_irqchip chips[3];
  kvm_pit_state2 pit;
  kvm_clock_data clock;
};

bool has_tsc_offset(int vcpu);

// `xsave_bytes`: what KVM_CAP_XSAVE2 says, or 4096.
Result<void> get(const Vcpu& vcpu, VcpuState& state, size_t xsave_bytes);
Result<void> set(const Vcpu& vcpu, VcpuState& state);
Result<void> get(int vm, VmState& state);
Result<void> set(int vm, VmState& state);

}  // namespace pagurus::floor
