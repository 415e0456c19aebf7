#include "migration/fault.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>

#include "base/log.h"
#include "migration/connection.h"

namespace pagurus::migration {
namespace {

#ifdef PAGURUS_FAULTS
constexpr bool kBuilt = true;
#else
constexpr bool kBuilt = false;
#endif

constexpr uint64_t kMaxDelayMs = 60'000;

constexpr std::array kSteps = {
    FaultStepInfo{FaultStep::kSourceConnect, "source.connect", true},
    FaultStepInfo{FaultStep::kSourceHello, "source.hello", true},
    FaultStepInfo{FaultStep::kSourceWelcome, "source.welcome", true},
    FaultStepInfo{FaultStep::kSourcePrepare, "source.prepare", true},
    FaultStepInfo{FaultStep::kSourceReady, "source.ready", true},
    FaultStepInfo{FaultStep::kSourceCopy, "source.copy", true},
    FaultStepInfo{FaultStep::kSourceStop, "source.stop", true},
    FaultStepInfo{FaultStep::kSourceSave, "source.save", true},
    FaultStepInfo{FaultStep::kSourceState, "source.state", true},
    FaultStepInfo{FaultStep::kSourceGo, "source.go", false},
    FaultStepInfo{FaultStep::kSourceCommit, "source.commit", false},
    FaultStepInfo{FaultStep::kDestinationAccept, "destination.accept", true},
    FaultStepInfo{FaultStep::kDestinationHello, "destination.hello", true},
    FaultStepInfo{FaultStep::kDestinationWelcome, "destination.welcome", true},
    FaultStepInfo{FaultStep::kDestinationPrepare, "destination.prepare", true},
    FaultStepInfo{FaultStep::kDestinationReady, "destination.ready", true},
    FaultStepInfo{FaultStep::kDestinationCopy, "destination.copy", true},
    FaultStepInfo{FaultStep::kDestinationLoad, "destination.load", true},
    FaultStepInfo{FaultStep::kDestinationLoaded, "destination.loaded", true},
    FaultStepInfo{FaultStep::kDestinationOwn, "destination.own", false},
    FaultStepInfo{FaultStep::kDestinationEnter, "destination.enter", false},
    FaultStepInfo{FaultStep::kDestinationRunning, "destination.running", false},
};

const FaultStepInfo& info_of(FaultStep step) {
  auto found = std::ranges::find(kSteps, step, &FaultStepInfo::step);
  CHECK(found != kSteps.end(), "every step is in the table");
  return *found;
}

}  // namespace

std::span<const FaultStepInfo> fault_steps() { return kSteps; }

std::string Faults::name(FaultStep step, FaultWhen when) {
  return fmt::format("{}.{}", info_of(step).name, when == FaultWhen::kBefore ? "before" : "after");
}

Result<std::pair<FaultStep, FaultWhen>> Faults::parse(std::string_view point) {
  for (const FaultStepInfo& info : kSteps) {
    for (FaultWhen when : {FaultWhen::kBefore, FaultWhen::kAfter}) {
      if (name(info.step, when) == point) return std::pair{info.step, when};
    }
  }
  return fail("'{}' is no fault point; x-query-fault-points lists them", point);
}

Result<void> Faults::arm(const Fault& fault) {
  if (!kBuilt) {
    return std::unexpected(
        Error("this program injects no faults").remedy("tests use a build with cmake -DPAGURUS_FAULTS=ON"));
  }
  if (fault.kind == FaultKind::kError && !info_of(fault.step).can_fail) {
    return fail("step '{}' cannot fail: the guest has its owner by then", info_of(fault.step).name);
  }
  if (fault.delay_ms > kMaxDelayMs) return fail("a delay has {} ms at most", kMaxDelayMs);
  armed_ = fault;
  return {};
}

Result<void> Faults::reach(FaultStep step, FaultWhen when, Connection* connection) {
  if (!kBuilt || !armed_ || armed_->step != step || armed_->when != when) return {};
  Fault fault = *std::exchange(armed_, std::nullopt);
  std::string point = name(step, when);
  log_warning("fault injected at {}", point);
  switch (fault.kind) {
    case FaultKind::kExit: ::_exit(3);
    case FaultKind::kKill: ::raise(SIGKILL); break;
    case FaultKind::kHang:
      for (;;) ::pause();
    case FaultKind::kError: return fail("fault injected at {}", point);
    case FaultKind::kShortWrite:
      if (connection != nullptr) connection->break_in_next_message();
      break;
    case FaultKind::kClose:
      if (connection != nullptr) connection->break_now();
      break;
    case FaultKind::kDelay: ::usleep(static_cast<useconds_t>(fault.delay_ms * 1000)); break;
  }
  return {};
}

}  // namespace pagurus::migration
