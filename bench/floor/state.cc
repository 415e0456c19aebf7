#include "state.h"

#include "machine.h"

namespace pagurus::floor {
namespace {

kvm_device_attr tsc_offset_attribute(uint64_t* value) {
  return {
      .flags = 0, .group = KVM_VCPU_TSC_CTRL, .attr = KVM_VCPU_TSC_OFFSET, .addr = reinterpret_cast<uintptr_t>(value)};
}

}  // namespace

bool has_tsc_offset(int vcpu) {
  auto attribute = tsc_offset_attribute(nullptr);
  return ::ioctl(vcpu, KVM_HAS_DEVICE_ATTR, &attribute) == 0;
}

Result<void> get(const Vcpu& vcpu, VcpuState& state, size_t xsave_bytes) {
  int fd = vcpu.fd.get();
  TRY_KVM(fd, KVM_GET_MP_STATE, &state.mp_state);
  TRY_KVM(fd, KVM_GET_VCPU_EVENTS, &state.events);
  TRY_KVM(fd, KVM_GET_REGS, &state.registers);
  TRY_KVM(fd, KVM_GET_SREGS, &state.system_registers);
  TRY_KVM(fd, KVM_GET_DEBUGREGS, &state.debug_registers);
  TRY_KVM(fd, KVM_GET_XCRS, &state.xcrs);
  if (xsave_bytes > sizeof(kvm_xsave)) {
    TRY_KVM(fd, KVM_GET_XSAVE2, state.xsave);
  } else {
    TRY_KVM(fd, KVM_GET_XSAVE, state.xsave);
  }
  TRY_KVM(fd, KVM_GET_LAPIC, &state.lapic);
  state.msrs.count = static_cast<uint32_t>(vcpu.msr_indices.size());
  for (uint32_t i = 0; i < state.msrs.count; ++i) state.msrs.entries[i].index = vcpu.msr_indices[i];
  TRY_KVM(fd, KVM_GET_MSRS, &state.msrs);
  if (vcpu.has_tsc_offset) {
    auto attribute = tsc_offset_attribute(&state.tsc_offset);
    TRY_KVM(fd, KVM_GET_DEVICE_ATTR, &attribute);
  }
  return {};
}

Result<void> set(const Vcpu& vcpu, VcpuState& state) {
  int fd = vcpu.fd.get();
  TRY_KVM(fd, KVM_SET_SREGS, &state.system_registers);
  TRY_KVM(fd, KVM_SET_REGS, &state.registers);
  TRY_KVM(fd, KVM_SET_DEBUGREGS, &state.debug_registers);
  TRY_KVM(fd, KVM_SET_XCRS, &state.xcrs);
  TRY_KVM(fd, KVM_SET_XSAVE, state.xsave);
  if (vcpu.has_tsc_offset) {
    auto attribute = tsc_offset_attribute(&state.tsc_offset);
    TRY_KVM(fd, KVM_SET_DEVICE_ATTR, &attribute);
  }
  TRY_KVM(fd, KVM_SET_LAPIC, &state.lapic);
  TRY_KVM(fd, KVM_SET_MSRS, &state.msrs);
  TRY_KVM(fd, KVM_SET_VCPU_EVENTS, &state.events);
  TRY_KVM(fd, KVM_SET_MP_STATE, &state.mp_state);
  return {};
}

Result<void> get(int vm, VmState& state) {
  for (uint32_t id = 0; id < std::size(state.chips); ++id) {
    state.chips[id].chip_id = id;
    TRY_KVM(vm, KVM_GET_IRQCHIP, &state.chips[id]);
  }
  TRY_KVM(vm, KVM_GET_PIT2, &state.pit);
  TRY_KVM(vm, KVM_GET_CLOCK, &state.clock);
  return {};
}

Result<void> set(int vm, VmState& state) {
  for (auto& chip : state.chips) TRY_KVM(vm, KVM_SET_IRQCHIP, &chip);
  TRY_KVM(vm, KVM_SET_PIT2, &state.pit);
  // What KVM_GET_CLOCK tells besides the clock is no input.
  state.clock.flags = 0;
  TRY_KVM(vm, KVM_SET_CLOCK, &state.clock);
  return {};
}

}  // namespace pagurus::floor
