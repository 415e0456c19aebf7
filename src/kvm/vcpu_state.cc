#include "kvm/vcpu_state.h"

#include <set>

namespace pagurus::kvm {
namespace {

constexpr uint32_t kMaxVcpus = 255;
constexpr size_t kXsaveHeaderEnd = 576;  // SDM volume 1, 13.4: legacy region and header
constexpr uint64_t kMaxXcrs = 16;        // KVM_MAX_XCRS

}  // namespace

using vmstate::Description;
using vmstate::field;

const Description& VcpuState::description() {
  static constexpr auto kFields = std::array{
      field<&VcpuState::id>("id", {.max = kMaxVcpus - 1}),
      field<&VcpuState::cpuid>("cpuid", {.max = kMaxCpuidEntries}),
      field<&VcpuState::mp_state>("mp-state", {.max = static_cast<uint64_t>(MpState::kSipiReceived)}),
      field<&VcpuState::registers>("registers"),
      field<&VcpuState::system_registers>("system-registers"),
      field<&VcpuState::debug_registers>("debug-registers"),
      field<&VcpuState::xcrs>("xcrs", {.max = kMaxXcrs}),
      field<&VcpuState::xsave>("xsave", {.max = kMaxXsaveBytes}),
      field<&VcpuState::lapic>("lapic"),
      field<&VcpuState::msrs>("msrs", {.max = kMaxMsrs}),
      field<&VcpuState::tsc_khz>("tsc-khz"),
      field<&VcpuState::has_tsc_offset>("has-tsc-offset"),
      field<&VcpuState::tsc_offset>("tsc-offset"),
      field<&VcpuState::events>("events"),
  };
  static constexpr Description kDescription{"vcpu", 1, kFields};
  return kDescription;
}

Result<void> VcpuState::validate() const {
  if (cpuid.empty()) return fail("the state of vCPU {} has no CPUID", id);
  if (xsave.size() < kXsaveHeaderEnd) {
    return fail("the xsave area of vCPU {} has {} bytes where at least {} are needed", id, xsave.size(),
                kXsaveHeaderEnd);
  }
  std::set<uint32_t> seen_msrs;
  for (const Msr& msr : msrs) {
    if (!seen_msrs.insert(msr.index).second) {
      return fail("the state of vCPU {} has MSR {:#x} twice", id, msr.index);
    }
  }
  std::set<std::pair<uint32_t, uint32_t>> seen_leaves;
  for (const CpuidEntry& entry : cpuid) {
    if (!seen_leaves.emplace(entry.function, entry.index).second) {
      return fail("the state of vCPU {} has CPUID leaf {:#x}.{:#x} twice", id, entry.function, entry.index);
    }
  }
  return {};
}

const Description& VcpuStates::description() {
  static constexpr auto kFields = std::array{field<&VcpuStates::vcpus>("vcpus", {.max = kMaxVcpus})};
  static constexpr Description kDescription{"vcpus", 1, kFields};
  return kDescription;
}

}  // namespace pagurus::kvm
