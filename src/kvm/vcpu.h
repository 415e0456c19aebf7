// Vcpu: one virtual processor of KVM.
//
// Threads: run() on the vCPU's thread.  Everything else while run() is not in progress, on
// whichever thread: VcpuSet parks the thread first.  Only kick() may be called at any time.
#pragma once

#include <pthread.h>

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/mapping.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "kvm/boot.h"
#include "kvm/cpuid.h"
#include "kvm/exit.h"
#include "kvm/vcpu_state.h"
#include "kvm/vm.h"

struct kvm_run;

namespace pagurus::kvm {

class Vcpu {
 public:
  // The vCPU is in its power-on state and shows the guest the host's processor.  All but vCPU 0
  // wait for the guest to start them (INIT, SIPI).  `vm` must outlive the vCPU.
  static Result<std::unique_ptr<Vcpu>> create(Vm& vm, Topology topology);

  uint32_t id() const { return topology_.id; }
  // The state the vCPU was created in.
  const VcpuState& pristine() const { return pristine_; }
  // Processor 0 only, in its power-on state.
  Result<void> set_boot(const Linux64Boot& boot);
  Result<void> set_boot(const PvhBoot& boot);

  // Completes the previous exit and runs the guest until the next one.
  Exit run();
  // Completes the previous exit without running the guest.  Anything but InterruptedExit is a
  // further part of the same access, to be handled before finish_exit() is called again.
  Exit finish_exit();
  // Makes run() return InterruptedExit at once, now if it is in progress on `thread`, else when it
  // is next called, until clear_kick().  Any thread.
  void kick(pthread_t thread);
  void clear_kick();

  // The exit must have been finished.  Takes what a reset or a roll-back needs, so it may have side
  // effects that the guest cannot see (an INIT that is under way is carried out).
  Result<VcpuState> save();
  // May be called repeatedly before the vCPU runs; CPUID that is equal already is not set again.
  // After a failure the vCPU's state is undefined, until a load or reset succeeds.
  Result<void> load(const VcpuState& state);
  // What must be added to the TSC offsets of all states saved together with this one, so that the
  // guest's TSC continues here, now, at what it read when they were saved.  Sets this vCPU's TSC.
  // On a KVM that ignores offsets it is 0 if the guest's TSC at least does not step back, else refused.
  Result<uint64_t> tsc_shift(const VcpuState& state);
  // Back to the power-on state, but with the CPUID and the TSC it has now.
  Result<void> reset();
  // Fills the second-level page tables for `range`.  Best effort: false if this KVM cannot.
  bool pre_fault(memory::GuestAddress base, uint64_t size);
  // Tells the guest that it was stopped on purpose, so that its watchdogs do not bark.
  void mark_paused();

  // An internal error as a message: what, where, and what the person can do.
  std::string explain(const InternalErrorExit& exit) const;
  // RIP, RFLAGS and the other registers as a text of a few lines.
  std::string describe() const;

 private:
  enum class LoadScope { kAll, kReset };

  Vcpu(Vm& vm, Topology topology) : vm_(vm), topology_(topology) {}
  Result<void> initialize();
  Result<void> set_cpuid(const std::vector<CpuidEntry>& entries);
  Result<void> set_default_msrs();
  Result<void> find_msrs();

  Result<void> check(const VcpuState& state) const;
  Result<void> check_tsc_frequency(uint32_t khz) const;
  Result<void> load_parts(const VcpuState& state, LoadScope scope);
  Result<std::vector<Msr>> read_msrs(std::span<const uint32_t> indices) const;
  Result<void> write_msrs(std::span<const Msr> msrs, LoadScope scope, std::span<const Msr> held);
  Result<void> write_registers(const Registers& registers);
  Result<SystemRegisters> read_system_registers() const;
  Result<void> write_system_registers(const SystemRegisters& registers);
  Result<void> save_tsc(VcpuState& state) const;
  Result<void> load_tsc(const VcpuState& state);
  Result<uint64_t> read_tsc() const;
  Result<void> renew_tsc_offset();

  Vm& vm_;
  Topology topology_;
  UniqueFd fd_;
  Mapping area_;
  kvm_run* run_ = nullptr;  // in area_
  bool has_sregs2_ = false;
  bool has_tsc_offset_ = false;
  uint32_t tsc_khz_ = 0;               // as KVM has it
  std::vector<CpuidEntry> cpuid_;      // as set last
  std::vector<uint32_t> msr_indices_;  // those that can be read and written back
  VcpuState pristine_;                 // as created; its CPUID is what this host offers
  // What it holds, if that was loaded once since it ran, or since it was created.
  std::unique_ptr<VcpuState> rehearsed_;
};

}  // namespace pagurus::kvm
