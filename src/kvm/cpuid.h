// What processor the guest sees: `-cpu host`, and whether a saved CPUID can be offered here.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "kvm/cpu_types.h"

namespace pagurus::kvm {

// Where a vCPU stands in the machine: one socket of `count` cores with one thread each; the APIC
// id is the vCPU's id.
struct Topology {
  uint32_t id = 0;
  uint32_t count = 1;
};

struct CpuidExtras {
  bool tsc_deadline = false;  // KVM_CAP_TSC_DEADLINE_TIMER: not reported in the supported CPUID
};

// Everything KVM supports, except what Pagurus does not carry across a hand-over (nested
// virtualization, performance counters, SGX, memory encryption).
std::vector<CpuidEntry> host_cpuid(std::span<const CpuidEntry> supported, Topology topology, CpuidExtras extras);

// Whether a vCPU with `wanted`, made by another process, can run here.  `offered` is what
// host_cpuid() gives for the same vCPU.  The error names the first feature bit that is missing.
Result<void> check_cpuid(std::span<const CpuidEntry> wanted, std::span<const CpuidEntry> offered);

}  // namespace pagurus::kvm
