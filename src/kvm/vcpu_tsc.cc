// A vCPU's time stamp counter: its offset to the host's, and its frequency.
#include <algorithm>
#include <array>

#include "base/log.h"
#include "kvm/kvm_api.h"
#include "kvm/vcpu.h"

namespace pagurus::kvm {
namespace {

constexpr uint32_t kMsrTsc = 0x10;
// KVM's own tolerance (its parameter tsc_tolerance_ppm): frequencies closer than this count as equal,
// as they must, because the same host measures another one each time it starts.
constexpr uint64_t kTscTolerancePpm = 250;

kvm_device_attr tsc_offset_attribute(uint64_t* offset) {
  kvm_device_attr attribute{};
  attribute.group = KVM_VCPU_TSC_CTRL;
  attribute.attr = KVM_VCPU_TSC_OFFSET;
  attribute.addr = reinterpret_cast<uint64_t>(offset);
  return attribute;
}

}  // namespace

Result<void> Vcpu::check_tsc_frequency(uint32_t khz) const {
  uint64_t host = vm_.host_tsc_khz();
  uint64_t difference = std::max<uint64_t>(khz, host) - std::min<uint64_t>(khz, host);
  if (difference * 1'000'000 <= host * kTscTolerancePpm || vm_.capability(KVM_CAP_TSC_CONTROL) != 0) return {};
  return fail("the guest's TSC runs at {} kHz, and this host's, at {} kHz, cannot be scaled to that", khz, host);
}

// After a triple fault on AMD, KVM begins with an empty control block, in which the TSC's offset is
// 0: the guest's TSC jumps away from what KVM believes it to be, and every timer of the local APIC
// comes late by that much.  Setting the offset anew, even to what it is, puts it there again.
Result<void> Vcpu::renew_tsc_offset() {
  if (!has_tsc_offset_) return {};
  uint64_t offset = 0;
  auto attribute = tsc_offset_attribute(&offset);
  TRY_KVM(fd_.get(), KVM_GET_DEVICE_ATTR, &attribute);
  TRY_KVM(fd_.get(), KVM_SET_DEVICE_ATTR, &attribute);
  return {};
}

Result<void> Vcpu::save_tsc(VcpuState& state) const {
  state.tsc_khz = tsc_khz_;
  state.has_tsc_offset = has_tsc_offset_;
  if (!has_tsc_offset_) return {};
  auto attribute = tsc_offset_attribute(&state.tsc_offset);
  TRY_KVM(fd_.get(), KVM_GET_DEVICE_ATTR, &attribute);
  return {};
}

Result<uint64_t> Vcpu::read_tsc() const {
  constexpr std::array kIndices{kMsrTsc};
  return TRY(read_msrs(kIndices)).front().value;
}

Result<uint64_t> Vcpu::tsc_shift(const VcpuState& state) {
  std::string doing = "setting the TSC of vCPU " + std::to_string(id());
  TRY_DOING(doing, check(state));
  // Without offsets the TSC itself is in the state.
  if (!state.has_tsc_offset) return 0;
  TRY_DOING(doing, load_tsc(state));
  uint64_t shift = state.guest_tsc - TRY_DOING(doing, read_tsc());
  VcpuState shifted = state;
  shifted.tsc_offset += shift;
  TRY_DOING(doing, load_tsc(shifted));
  VcpuState now;
  TRY_DOING(doing, save_tsc(now));
  now.guest_tsc = TRY_DOING(doing, read_tsc());
  if (now.tsc_offset == shifted.tsc_offset) return shift;

  // A KVM that emulates guest code may take the offset and do nothing with it.
  if (now.guest_tsc < state.guest_tsc) {
    return fail("{}: this host's KVM cannot offset it, and it would step back from {} to {}", doing, state.guest_tsc,
                now.guest_tsc);
  }
  log_warning("this host's KVM cannot offset the guest's TSC: the guest sees it jump ahead by {} ms",
              (now.guest_tsc - state.guest_tsc) / std::max<uint32_t>(now.tsc_khz, 1));
  return 0;
}

Result<void> Vcpu::load_tsc(const VcpuState& state) {
  if (tsc_khz_ != state.tsc_khz) TRY_KVM(fd_.get(), KVM_SET_TSC_KHZ, state.tsc_khz);
  tsc_khz_ = state.tsc_khz;
  if (!state.has_tsc_offset) return {};
  uint64_t offset = state.tsc_offset;
  auto attribute = tsc_offset_attribute(&offset);
  TRY_KVM(fd_.get(), KVM_SET_DEVICE_ATTR, &attribute);
  return {};
}

}  // namespace pagurus::kvm
