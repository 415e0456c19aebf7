// The run states of a machine, in QEMU's words (QAPI `RunState`).
#pragma once

#include <string_view>

namespace pagurus::machine {

enum class RunState {
  kPrelaunch,      // started with -S, has never run
  kInMigrate,      // started with -incoming, waits for the state of a running guest
  kRunning,        // vCPUs run
  kPaused,         // stopped by `stop`
  kFinishMigrate,  // in the pause of a hand-over
  kPostMigrate,    // the guest runs in another process
  kShutdown,       // the guest powered off, or reset with -no-reboot
  kInternalError,  // KVM could not go on
};

constexpr std::string_view name_of(RunState state) {
  switch (state) {
    case RunState::kPrelaunch: return "prelaunch";
    case RunState::kInMigrate: return "inmigrate";
    case RunState::kRunning: return "running";
    case RunState::kPaused: return "paused";
    case RunState::kFinishMigrate: return "finish-migrate";
    case RunState::kPostMigrate: return "postmigrate";
    case RunState::kShutdown: return "shutdown";
    case RunState::kInternalError: return "internal-error";
  }
  return "?";
}

}  // namespace pagurus::machine
