// The machine's interrupts and doorbells, made of KVM: what the devices' interfaces of
// bus/interrupt.h are in a running machine.
//
// Threads: all thread-safe.
#pragma once

#include "base/log.h"
#include "bus/interrupt.h"
#include "kvm/vm.h"

namespace pagurus::bus {

// Hands a message to the local APICs.  They have it when send() returns, so a device that is frozen
// has no interrupt under way.
class KvmMsiSink final : public MsiSink {
 public:
  explicit KvmMsiSink(kvm::Vm& vm) : vm_(vm) {}
  // A message that KVM refuses is the guest's mistake (it wrote the MSI-X table): counted.
  void send(const MsiMessage& message) override;
  uint64_t refused() const { return faults_.count(); }

 private:
  kvm::Vm& vm_;
  GuestFaults faults_;
};

// Pulses an input of the interrupt controllers.  It is a system call, not an irqfd: the kernel
// injects an irqfd of such a line later, from a work queue, and an edge that is on its way there
// would be in no saved state.
class KvmEdgeLine final : public EdgeLine {
 public:
  KvmEdgeLine(kvm::Vm& vm, kvm::Gsi gsi) : vm_(vm), gsi_(gsi) {}
  void pulse() override;

 private:
  kvm::Vm& vm_;
  kvm::Gsi gsi_;
};

class KvmDoorbells final : public Doorbells {
 public:
  explicit KvmDoorbells(kvm::Vm& vm) : vm_(vm) {}
  Result<void> attach(memory::GuestAddress address, int eventfd) override;
  void detach(memory::GuestAddress address, int eventfd) override;

 private:
  kvm::Vm& vm_;
};

}  // namespace pagurus::bus
