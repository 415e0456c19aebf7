#include "bus/kvm_interrupts.h"

namespace pagurus::bus {

void KvmMsiSink::send(const MsiMessage& message) {
  auto sent = vm_.signal_msi(message.address, message.data);
  if (!sent && faults_.note()) {
    log_warning("the guest's interrupt message {:#x} to {:#x} was not delivered: {}", message.data, message.address,
                sent.error().message());
  }
}

void KvmEdgeLine::pulse() {
  auto pulsed = vm_.pulse(gsi_);
  CHECK(pulsed.has_value(), "a GSI of the IOAPIC can always be pulsed");
}

Result<void> KvmDoorbells::attach(memory::GuestAddress address, int eventfd) {
  return vm_.attach_ioeventfd(address, eventfd);
}

void KvmDoorbells::detach(memory::GuestAddress address, int eventfd) {
  auto detached = vm_.detach_ioeventfd(address, eventfd);
  CHECK(detached.has_value(), "what was attached can be detached");
}

}  // namespace pagurus::bus
