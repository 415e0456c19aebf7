// Vm: one virtual machine of KVM, with its in-kernel interrupt controllers (IOAPIC, two PICs, local
// APICs), PIT and clock.
//
// Life: created without RAM; map_ram() once the RAM's bytes are there, which for the receiver of a
// hand-over is after the vCPUs have been created.  A VM belongs to the address space that created
// it: it cannot be passed to another process, only its state can.
//
// Threads: create(), map_ram(), the dirty log, save(), load() and reset() on the control thread; the
// rest from any.
#pragma once

#include <cstdint>
#include <memory>

#include "base/result.h"
#include "base/unique_fd.h"
#include "kvm/system.h"
#include "kvm/vm_state.h"
#include "memory/guest_memory.h"

namespace pagurus::kvm {

// An input of the interrupt controllers: 0 to 23, of which 0 to 15 also reach the PICs.
struct Gsi {
  uint32_t value = 0;
};
inline constexpr uint32_t kGsiCount = 24;

class Vm {
 public:
  // `system` must outlive the VM.  `ram`: as map_ram(), if its bytes are there already.  After the chips have been made
  // KVM takes the first RAM only when an RCU grace period is over (7 to 10 ms seen with Linux 6.18).
  static Result<std::unique_ptr<Vm>> create(const System& system, const memory::GuestMemory* ram = nullptr);

  int fd() const { return fd_.get(); }
  const System& system() const { return system_; }
  int capability(unsigned number) const;
  // Bytes of a vCPU's xsave area.
  size_t xsave_size() const { return xsave_size_; }

  // A new vCPU runs at the host's TSC frequency, and only a vCPU tells it: the first one reports
  // here.
  void set_host_tsc_khz(uint32_t khz) { host_tsc_khz_ = khz; }
  uint32_t host_tsc_khz() const { return host_tsc_khz_; }

  // Makes the guest see `memory`, which must have its bytes and outlive the VM.  Once.
  Result<void> map_ram(const memory::GuestMemory& memory);

  // KVM's dirty log: from now on it notes every page that the guest, or KVM for it, writes.  Starting
  // and stopping wait for RCU, milliseconds: keep them out of a pause.  RAM must be mapped.
  Result<void> start_dirty_log();
  // Adds the pages noted since the last call, or since the start, by their place in the RAM file.
  Result<void> take_dirty(memory::PageBitmap& into);
  Result<void> stop_dirty_log();

  // Every write at exactly `address`, whatever its size and value, adds 1 to `eventfd` and causes
  // no exit.  Both may wait for RCU, milliseconds: keep them out of a pause.
  Result<void> attach_ioeventfd(memory::GuestAddress address, int eventfd);
  Result<void> detach_ioeventfd(memory::GuestAddress address, int eventfd);

  // Raises and lowers an edge-triggered line; the controllers have seen the edge on return.
  Result<void> pulse(Gsi gsi);
  // Delivers a message-signalled interrupt; the local APIC has it on return.
  Result<void> signal_msi(uint64_t address, uint32_t data);

  // A consistent state only while no vCPU runs and no device interrupts; harmless at any time.
  Result<VmState> save() const;
  // After the vCPUs' states have been loaded (the clock's precision depends on their TSCs, and an
  // interrupt that the IOAPIC still holds is delivered to their local APICs), before any runs.
  Result<void> load(const VmState& state, Origin origin);
  // Interrupt controllers and PIT back to their power-on state; the clock goes on.
  Result<void> reset();

 private:
  explicit Vm(const System& system) : system_(system) {}
  Result<void> create_devices();
  Result<void> set_ram_slots(uint32_t flags);
  Result<void> save_chips(VmState& state) const;
  Result<void> load_chips(const VmState& state);
  Result<ClockState> save_clock() const;
  Result<void> load_clock(const ClockState& state);
  Result<void> set_clock(uint64_t guest_ns);

  const System& system_;
  UniqueFd fd_;
  size_t xsave_size_ = 0;
  uint32_t host_tsc_khz_ = 0;
  const memory::GuestMemory* ram_ = nullptr;  // as mapped
  VmState pristine_;
};

}  // namespace pagurus::kvm
