// VcpuSet: the vCPUs of a machine, each on a thread of its own.
//
//               start()/resume()                    request_pause(), or the vCPU stops by itself
//     parked ───────────────────▶ running ──────────────────────────────▶ parked
//
// A parked thread sleeps and holds no exit that is not completed, so its vCPU's state can be read
// and written.  A vCPU that stopped by itself (triple fault, internal error) parks too, and stays
// parked through resume() until its state is loaded or reset.
//
// save_all() and load_all() are inside the pause of a hand-over: vCPU 0 is done by the calling
// thread, which is awake, and the others by their own threads at the same time; one vCPU wakes
// nobody.
//
// Threads: created, driven and destroyed on the control thread; request_pause() from any thread, a
// vCPU's included, and from signal-free context.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "kvm/vcpu.h"

namespace pagurus::kvm {

class VcpuSet {
 public:
  // Creates `count` vCPUs (1 to 255) and their threads, parked.  `vm` and `handler` must outlive
  // the set.
  static Result<std::unique_ptr<VcpuSet>> create(Vm& vm, uint32_t count, ExitHandler& handler);
  // Pauses, ends and joins the threads.
  ~VcpuSet();
  VcpuSet(const VcpuSet&) = delete;
  VcpuSet& operator=(const VcpuSet&) = delete;

  uint32_t size() const;
  // The host's thread id of each vCPU.
  std::vector<int> thread_ids() const;

  // All vCPUs must be parked.  `set_boot` of vCPU 0.
  Result<void> set_boot(const Linux64Boot& boot);
  Result<void> set_boot(const PvhBoot& boot);

  // Lets the vCPUs run.  All must be parked; the first time and after a pause alike.
  void resume();
  // Asks all vCPUs to park and returns at once.  A pause that is under way already is no error.
  void request_pause();
  // Blocks until all vCPUs are parked.  After request_pause().
  void wait_paused();
  bool paused() const;
  // The guest has been paused for a time that is not known here, and may be long.
  void note_long_pause();

  // All vCPUs must be parked.  The states are in the order of the vCPUs.
  Result<std::vector<VcpuState>> save_all();
  Result<void> load_all(std::span<const VcpuState> states, Origin origin);
  // The state each vCPU has had since power-on: the same shape as a saved one, for rehearsals, at a
  // time when the guest runs.
  std::vector<VcpuState> pristine_all() const;
  // Every vCPU back to power-on; the caller sets the boot state of vCPU 0 again.
  Result<void> reset_all();
  // Fills the second-level page tables for the RAM in use.  Takes long: before the pause.  False if
  // this KVM cannot.
  bool pre_fault(const memory::GuestMemory& memory);
  // The registers of a vCPU as text.
  std::string describe(uint32_t vcpu) const;

 private:
  struct Slot;
  struct Shared;

  VcpuSet();
  Result<void> load_each(std::span<const VcpuState> states);
  template <class Job>
  void on_all(const Job& job);

  std::unique_ptr<Shared> shared_;
  std::vector<std::unique_ptr<Slot>> slots_;
};

}  // namespace pagurus::kvm
