// System: /dev/kvm, and what this host's KVM can do.
//
// Threads: immutable after open(), so free to share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "kvm/cpu_types.h"

namespace pagurus::kvm {

class System {
 public:
  // Opens KVM and checks that it has everything Pagurus needs.  The error tells a missing device, a
  // missing permission, and a KVM that is too old (naming the capability) apart.
  static Result<System> open(const std::string& path = "/dev/kvm");

  int fd() const { return fd_.get(); }
  // KVM_CHECK_EXTENSION; 0 if KVM does not know it.
  int capability(unsigned number) const;
  // What KVM can offer a guest, unfiltered.
  const std::vector<CpuidEntry>& supported_cpuid() const { return supported_cpuid_; }
  // The MSRs that make up a vCPU's state: those KVM lists, and the MTRRs, which it does not.
  const std::vector<uint32_t>& msr_indices() const { return msr_indices_; }
  // Size in bytes of a vCPU's shared kvm_run area.
  size_t run_size() const { return run_size_; }

 private:
  System() = default;
  Result<void> read_supported_cpuid();
  Result<void> read_msr_indices();

  UniqueFd fd_;
  std::vector<CpuidEntry> supported_cpuid_;
  std::vector<uint32_t> msr_indices_;
  size_t run_size_ = 0;
};

// Whether the processor shows VMX or SVM.  Without them a KVM can exist all the same, but it
// emulates guest code and cannot run stock kernels.
bool host_has_hardware_virtualization();

}  // namespace pagurus::kvm
