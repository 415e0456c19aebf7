// A virtual machine with the same parts as Pagurus' own, made of bare ioctls: interrupt controllers, PIT, RAM in one
// slot, vCPUs.  Its guest counts in RAM, in 64-bit mode, and leaves by a port after every step.
//
// Threads: create() on one; afterwards each vCPU on one at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "kvm/kvm_api.h"

namespace pagurus::floor {

struct Vcpu {
  UniqueFd fd;
  kvm_run* run = nullptr;
  std::vector<uint32_t> msr_indices;  // can be read and written back
  bool has_tsc_offset = false;

  // Lets the guest make its next step.
  Result<void> step();
  // KVM finishes the last step when the vCPU is entered again; this enters it and leaves at once.
  Result<void> finish_step();
};

class Machine {
 public:
  enum class Populate { kNo, kYes };
  // `ram` is a memfd of that size.
  static Result<std::unique_ptr<Machine>> create(unsigned vcpus, int ram, uint64_t ram_bytes, Populate populate);
  // Writes the guest into RAM and puts all vCPUs to its beginning.
  Result<void> boot();

  int fd() const { return vm_.get(); }
  std::vector<Vcpu>& vcpus() { return vcpus_; }

 private:
  Result<void> create_devices();
  Result<void> map(int ram, uint64_t bytes, Populate populate);
  Result<void> create_vcpu(unsigned id);
  Result<void> find_msrs(Vcpu& vcpu);
  Result<void> boot_vcpu(Vcpu& vcpu, uint64_t id);

  UniqueFd kvm_;
  UniqueFd vm_;
  char* ram_ = nullptr;  // lives as long as the process
  std::vector<Vcpu> vcpus_;
};

}  // namespace pagurus::floor
