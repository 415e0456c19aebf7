// The machine as the hand-over sees it: what must be equal on both sides, what travels, and the few
// steps in which a running machine leaves one process and enters another.
//
//   source                                   destination (created with Config::incoming)
//   ------                                   -------------------------------------------
//   facts(), sections(), movables()   HELLO  facts(), sections(), movables()
//   save_rehearsal()               PREPARE   attach_ram(), open_untransferred(), load_rehearsal()
//   start_dirty_log(), then                  or allocate_ram() instead of attach_ram(): RAM is copied
//   collect_dirty() again and again   RAM    ram()
//   freeze(), save()               STATE     load()
//   release()  or  resume()        RUNNING   enter()
//
// Threads: the control thread.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "kvm/vm_state.h"
#include "machine/logged_ram.h"
#include "vmstate/section.h"

namespace pagurus::machine {

// One property that both sides must agree on: "RAM size" = "256 MiB".
struct Fact {
  std::string name;
  std::string value;
};

// The name of the one that matters only where RAM itself moves.
inline constexpr const char* kRamPageSizeFact = "RAM page size";

// A section of the stream, by name and declaration ("serial0", "serial-16550a/1{...}"), the latter
// in the version that the machine type writes.
struct SectionInfo {
  std::string name;
  std::string signature;
  uint16_t version = 1;
  bool required = true;  // a destination that does not know it must refuse
};

// The back end of one device, and whether it takes part.
struct MovableInfo {
  std::string name;       // "netdev n0"
  std::string target;     // device model and kind: "virtio-net-tap"
  std::string kind;       // "tap"
  std::string signature;  // of its state; empty if it cannot move
  bool takes_part;        // the device's property backend-transfer
  bool announced;         // local-incoming=on: this process expects it to arrive
  std::string obstacle;   // why it cannot move, empty if it can
  vmstate::Movable* movable;
};

// Descriptors are borrowed from the machine until the hand-over ends.
struct SavedSection {
  std::string name;
  uint16_t version;
  bool required = true;
  std::vector<uint8_t> bytes;
  std::vector<int> fds;
};

struct LoadedSection {
  std::string name;
  uint16_t version;
  bool required = true;
  std::vector<uint8_t> bytes;
  std::vector<UniqueFd> fds;
};

// Of LoggedRam, ram() is for both sides, the log for the source.  What collect_dirty() tells while the
// machine is frozen is the last of it; but save() first: KVM may write to RAM when it is asked for a
// vCPU's state.
class Handover : public LoggedRam {
 public:
  // Equal machines give equal lists, in a fixed order.
  virtual std::vector<Fact> facts() const = 0;
  virtual std::vector<SectionInfo> sections() const = 0;
  virtual std::vector<MovableInfo> movables() const = 0;

  // From the moment in which both sides may rely on facts(), sections() and movables() until the hand-over has
  // ended: no device comes or goes meanwhile.
  virtual void hold_devices(bool hold) = 0;

  // --- source -------------------------------------------------------------------------------
  // Fails unless there is a guest that can be handed over: running, paused, or not yet started.
  virtual Result<void> check_guest() const = 0;
  // Fails for a machine whose RAM cannot be copied while the guest runs.
  virtual Result<void> check_copy() const = 0;
  // The process was told to end: it neither runs a guest again nor takes one.
  virtual bool ending() const = 0;
  virtual int ram_fd() const = 0;
  // Device state as it is now, taken while the guest runs: nothing waits for it.  And what the movables of
  // `transfer` send early.
  virtual std::vector<SavedSection> save_rehearsal(const std::set<std::string>& transfer) = 0;
  // Takes the vCPUs out of the guest and freezes queue workers and back ends.  Run state
  // finish-migrate.  Only after check_guest() in the same callback of the control loop.
  virtual void freeze() = 0;
  // Everything, and of the movables those named in `transfer`.  Only while frozen.  Fails for a guest
  // that met an internal error in its last moment.
  virtual Result<std::vector<SavedSection>> save(const std::set<std::string>& transfer) = 0;
  // Roll-back: the machine is as it was before freeze().
  virtual void resume() = 0;
  // Commit: the guest is not to run here any more.  Run state postmigrate.
  enum class Left {
    kTaken,    // another process has it: what moved is given up
    kPerhaps,  // perhaps: nothing is given up, and cont() may continue it if an operator knows that it must
    kSaved,    // it is in a file, and cont() may continue it here
  };
  virtual void release(Left left) = 0;
  // The guest was running when freeze() was called.
  virtual bool was_running() const = 0;

  // --- destination --------------------------------------------------------------------------
  // Adopts, maps and pre-faults the guest's RAM.
  virtual Result<void> attach_ram(UniqueFd memfd) = 0;
  // Fresh RAM, all zero, for a guest whose RAM is copied; written through ram().
  virtual Result<void> allocate_ram() = 0;
  // Opens the back ends that will not arrive by transfer.
  virtual Result<void> open_untransferred(const std::set<std::string>& transfer) = 0;
  // Does what is slow (interrupt routes, doorbells, CPUID) for a state that is close to the real one.
  virtual Result<void> load_rehearsal(std::vector<LoadedSection> sections, const std::set<std::string>& transfer) = 0;
  // Every required section and every movable of `transfer` exactly once; a section that arrives as not
  // required is passed over if it is unknown here.
  using Origin = kvm::Origin;
  virtual Result<void> load(std::vector<LoadedSection> sections, const std::set<std::string>& transfer,
                            Origin origin = Origin::kThisHost) = 0;
  enum class Enter { kRunning, kPaused };
  // Returns the end of the pause: when the vCPUs were told to run, or now if they stay paused;
  // CLOCK_MONOTONIC in ns.  (On a busy host they run long before this call returns.)
  virtual int64_t enter(Enter how) = 0;
  // The observers' turn, after the pause: RESUME on the destination, STOP (and RESUME) on the
  // source, with the time stamps of the moments themselves.
  virtual void report_events() = 0;
};

}  // namespace pagurus::machine
