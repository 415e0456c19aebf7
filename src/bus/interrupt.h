// What a device needs from the machine to interrupt the guest and to hear its doorbells, without
// knowing KVM: so that a ring can be tested without /dev/kvm.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "memory/address.h"

namespace pagurus::bus {

// A message-signalled interrupt, as PCI defines it.
struct MsiMessage {
  uint64_t address = 0;
  uint32_t data = 0;
  bool operator==(const MsiMessage&) const = default;
};

// Thread-safe: queue workers and vCPU threads send.
class MsiSink {
 public:
  virtual ~MsiSink() = default;
  virtual void send(const MsiMessage& message) = 0;
};

// An edge-triggered interrupt line (a GSI of the IOAPIC).  Thread-safe.
class EdgeLine {
 public:
  virtual ~EdgeLine() = default;
  virtual void pulse() = 0;
};

// Turns guest writes to an address into an eventfd count, inside the kernel (ioeventfd).
// Registration may wait for RCU, so it happens outside the pause.  Thread-safe.
class Doorbells {
 public:
  virtual ~Doorbells() = default;
  // Every write of any size at exactly `address` signals `eventfd` (borrowed until detach).
  virtual Result<void> attach(memory::GuestAddress address, int eventfd) = 0;
  virtual void detach(memory::GuestAddress address, int eventfd) = 0;
};

}  // namespace pagurus::bus
