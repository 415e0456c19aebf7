#include "kvm/system.h"

#include <cpuid.h>
#include <fcntl.h>

#include <algorithm>
#include <array>

#include "kvm/kvm_api.h"
#include "kvm/vcpu_state.h"

namespace pagurus::kvm {
namespace {

struct Required {
  unsigned number;
  const char* name;
};

constexpr std::array kRequired = {
    Required{KVM_CAP_USER_MEMORY, "KVM_CAP_USER_MEMORY"},
    Required{KVM_CAP_IRQCHIP, "KVM_CAP_IRQCHIP"},
    Required{KVM_CAP_PIT2, "KVM_CAP_PIT2"},
    Required{KVM_CAP_EXT_CPUID, "KVM_CAP_EXT_CPUID"},
    Required{KVM_CAP_SET_TSS_ADDR, "KVM_CAP_SET_TSS_ADDR"},
    Required{KVM_CAP_MP_STATE, "KVM_CAP_MP_STATE"},
    Required{KVM_CAP_VCPU_EVENTS, "KVM_CAP_VCPU_EVENTS"},
    Required{KVM_CAP_DEBUGREGS, "KVM_CAP_DEBUGREGS"},
    Required{KVM_CAP_XSAVE, "KVM_CAP_XSAVE"},
    Required{KVM_CAP_XCRS, "KVM_CAP_XCRS"},
    Required{KVM_CAP_ADJUST_CLOCK, "KVM_CAP_ADJUST_CLOCK"},
    Required{KVM_CAP_GET_TSC_KHZ, "KVM_CAP_GET_TSC_KHZ"},
    Required{KVM_CAP_SIGNAL_MSI, "KVM_CAP_SIGNAL_MSI"},
    Required{KVM_CAP_IOEVENTFD_ANY_LENGTH, "KVM_CAP_IOEVENTFD_ANY_LENGTH"},
    Required{KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT"},
};

struct MsrRange {
  uint32_t first;
  uint32_t last;
};

// Registers of features that the guest's CPUID never offers, so they keep their reset values; each
// one left out makes the pause shorter.
constexpr std::array kNotGuestState = {
    MsrRange{0x40000000, 0x400001ff},  // Hyper-V
    MsrRange{0x480, 0x491},            // VMX capabilities
    MsrRange{0xc1, 0xc8},
    MsrRange{0x186, 0x18d},  // performance counters
    MsrRange{0x309, 0x30c},
    MsrRange{0x38d, 0x390},
    MsrRange{0xc0010000, 0xc0010007},
    MsrRange{0xc0010200, 0xc001020b},
    MsrRange{0xc0000300, 0xc0000303},
};

// SDM volume 3, 12.11: eight variable ranges, the fixed ranges, the default type.
constexpr std::array kMtrrs = {
    MsrRange{0x200, 0x20f}, MsrRange{0x250, 0x250}, MsrRange{0x258, 0x259},
    MsrRange{0x268, 0x26f}, MsrRange{0x2ff, 0x2ff},
};

bool is_guest_state(uint32_t index) {
  return std::ranges::none_of(kNotGuestState,
                              [index](const MsrRange& range) { return index >= range.first && index <= range.last; });
}

std::unexpected<Error> open_failed(int error, const std::string& path) {
  auto failure = fail_errno(error, "cannot open '{}'", path);
  const char* remedy = "is it a KVM device?";
  if (error == ENOENT || error == ENODEV || error == ENXIO) {
    remedy = "load the module kvm_intel or kvm_amd, and enable virtualization in the firmware";
  } else if (error == EACCES || error == EPERM) {
    remedy = "become a member of the group 'kvm', or be allowed to use the device";
  }
  return std::unexpected(std::move(failure.error()).remedy(remedy));
}

}  // namespace

Result<System> System::open(const std::string& path) {
  System system;
  system.fd_.reset(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!system.fd_) return open_failed(errno, path);
  int version = ::ioctl(system.fd(), KVM_GET_API_VERSION, 0);
  if (version < 0) return fail("'{}' is not a KVM device", path);
  if (version != KVM_API_VERSION) {
    return fail("'{}' has KVM API version {} where {} is needed", path, version, KVM_API_VERSION);
  }
  for (const Required& required : kRequired) {
    if (system.capability(required.number) <= 0) {
      auto error = fail("the KVM of this host lacks {}", required.name);
      return std::unexpected(std::move(error.error()).remedy("use a newer kernel"));
    }
  }
  system.run_size_ = static_cast<size_t>(TRY_KVM(system.fd(), KVM_GET_VCPU_MMAP_SIZE, 0));
  TRY(system.read_supported_cpuid());
  TRY(system.read_msr_indices());
  return system;
}

int System::capability(unsigned number) const { return std::max(0, ::ioctl(fd(), KVM_CHECK_EXTENSION, number)); }

Result<void> System::read_supported_cpuid() {
  std::vector<uint8_t> buffer(sizeof(kvm_cpuid2) + kMaxCpuidEntries * sizeof(kvm_cpuid_entry2));
  auto* list = reinterpret_cast<kvm_cpuid2*>(buffer.data());
  list->nent = kMaxCpuidEntries;
  TRY_KVM(fd(), KVM_GET_SUPPORTED_CPUID, list);
  for (uint32_t i = 0; i < list->nent; ++i) {
    const kvm_cpuid_entry2& entry = list->entries[i];
    supported_cpuid_.push_back({.function = entry.function,
                                .index = entry.index,
                                .flags = entry.flags,
                                .eax = entry.eax,
                                .ebx = entry.ebx,
                                .ecx = entry.ecx,
                                .edx = entry.edx});
  }
  return {};
}

Result<void> System::read_msr_indices() {
  std::vector<uint8_t> buffer(sizeof(kvm_msr_list) + kMaxMsrs * sizeof(uint32_t));
  auto* list = reinterpret_cast<kvm_msr_list*>(buffer.data());
  list->nmsrs = kMaxMsrs;
  TRY_KVM(fd(), KVM_GET_MSR_INDEX_LIST, list);
  for (uint32_t i = 0; i < list->nmsrs; ++i) {
    if (is_guest_state(list->indices[i])) msr_indices_.push_back(list->indices[i]);
  }
  for (const MsrRange& range : kMtrrs) {
    for (uint32_t index = range.first; index <= range.last; ++index) msr_indices_.push_back(index);
  }
  std::ranges::sort(msr_indices_);
  auto repeated = std::ranges::unique(msr_indices_);
  msr_indices_.erase(repeated.begin(), repeated.end());
  return {};
}

bool host_has_hardware_virtualization() {
  unsigned eax, ebx, ecx, edx;
  if (__get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & (1u << 5)) != 0) return true;
  return __get_cpuid(0x80000001, &eax, &ebx, &ecx, &edx) != 0 && (ecx & (1u << 2)) != 0;
}

}  // namespace pagurus::kvm
