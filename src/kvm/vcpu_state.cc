#include "kvm/vcpu_state.h"

#include <algorithm>
#include <optional>

namespace pagurus::kvm {
namespace {

constexpr uint32_t kMaxVcpus = 255;
constexpr size_t kXsaveHeaderEnd = 576;  // SDM volume 1, 13.4: legacy region and header
constexpr uint64_t kMaxXcrs = 16;        // KVM_MAX_XCRS

// A key that occurs twice.  Happens in the pause, so it allocates once.
template <class Element, class KeyOf>
std::optional<uint64_t> find_twice(const std::vector<Element>& elements, KeyOf key_of) {
  std::vector<uint64_t> keys(elements.size());
  std::ranges::transform(elements, keys.begin(), key_of);
  if (!std::ranges::is_sorted(keys)) std::ranges::sort(keys);
  auto twice = std::ranges::adjacent_find(keys);
  return twice == keys.end() ? std::nullopt : std::optional(*twice);
}

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
      field<&VcpuState::guest_tsc>("guest-tsc"),
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
  if (auto twice = find_twice(msrs, [](const Msr& msr) { return uint64_t{msr.index}; })) {
    return fail("the state of vCPU {} has MSR {:#x} twice", id, *twice);
  }
  auto leaf = [](const CpuidEntry& entry) { return uint64_t{entry.function} << 32 | entry.index; };
  if (auto twice = find_twice(cpuid, leaf)) {
    return fail("the state of vCPU {} has CPUID leaf {:#x}.{:#x} twice", id, *twice >> 32, *twice & 0xffff'ffff);
  }
  return {};
}

const Description& VcpuStates::description() {
  static constexpr auto kFields = std::array{field<&VcpuStates::vcpus>("vcpus", {.max = kMaxVcpus})};
  static constexpr Description kDescription{"vcpus", 1, kFields};
  return kDescription;
}

}  // namespace pagurus::kvm
