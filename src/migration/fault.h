// Faults on purpose, for the tests of the promise in docs/handover.md: at every step of a migration,
// on both sides, a process can be made to die, hang, fail, or lose its channel.
//
// Only builds with -DPAGURUS_FAULTS=ON have this; in others arm() refuses and reach() does nothing.
//
// Threads: the control thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace pagurus::migration {

class Connection;

// The steps of docs/handover.md; each has a point before and one after it.
enum class FaultStep {
  kSourceConnect,
  kSourceHello,    // HELLO is sent
  kSourceWelcome,  // WELCOME is handled
  kSourcePrepare,  // the ownership word is made, PREPARE is sent
  kSourceReady,    // READY is handled
  kSourceCopy,     // copied: a batch of RAM is sent while the guest runs
  kSourceStop,
  kSourceSave,
  kSourceState,   // STATE is sent
  kSourceGo,      // without a word: GO is sent
  kSourceCommit,  // the guest has left: what it used is released
  kDestinationAccept,
  kDestinationHello,    // HELLO is compared
  kDestinationWelcome,  // WELCOME is sent
  kDestinationPrepare,  // PREPARE is carried out
  kDestinationReady,    // READY is sent
  kDestinationCopy,     // copied: RAM is written
  kDestinationLoad,
  kDestinationLoaded,  // without a word: LOADED is sent
  kDestinationOwn,     // the word is taken
  kDestinationEnter,
  kDestinationRunning,  // RUNNING is sent
};

struct FaultStepInfo {
  FaultStep step;
  std::string_view name;  // "source.hello"
  // The step can fail by an error of its own.
  bool can_fail;
};
// In the order of a migration.
std::span<const FaultStepInfo> fault_steps();

enum class FaultWhen { kBefore, kAfter };

enum class FaultKind {
  kExit,        // the process ends with status 3
  kKill,        // SIGKILL
  kHang,        // the control thread never returns
  kError,       // the step fails
  kShortWrite,  // half of the next message is sent, then the channel breaks
  kClose,       // the channel breaks
  kDelay,       // the step takes longer
};

struct Fault {
  FaultStep step;
  FaultWhen when;
  FaultKind kind;
  uint64_t delay_ms = 0;  // kDelay: at most 60000
};

class Faults {
 public:
  // "source.hello.before"; fails for a name that is no point.
  static Result<std::pair<FaultStep, FaultWhen>> parse(std::string_view point);
  static std::string name(FaultStep step, FaultWhen when);

  // The next migration that reaches the point meets the fault, once.  Fails in a build without faults, and
  // for an error at a step that cannot fail.
  Result<void> arm(const Fault& fault);
  // Called at the point.  `connection`: what kShortWrite and kClose break, if there is one already.
  Result<void> reach(FaultStep step, FaultWhen when, Connection* connection);
  // At a step that cannot fail.
  void pass(FaultStep step, FaultWhen when, Connection* connection) { (void)reach(step, when, connection); }

 private:
  std::optional<Fault> armed_;
};

}  // namespace pagurus::migration
