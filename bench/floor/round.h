// One round: two fresh processes, and the state's way from one to the other.
//
//   source                                 destination
//   create, boot, run                      create, populate RAM
//              ◀──────────── ready ────────
//   run on, stop
//   get ══════ state, descriptors ═══════▶ set, step
//
// Threads: the caller must have none besides itself, because it forks.
#pragma once

#include <cstdint>

#include "options.h"

namespace pagurus::floor {

// CLOCK_MONOTONIC, nanoseconds, in the order of time.
struct Times {
  int64_t begun;     // source: the vCPUs are out of the guest
  int64_t got;       // source: all state is read
  int64_t sent;      // source: sendmsg has returned; may be later than `received`
  int64_t received;  // destination: the whole message is there
  int64_t set;       // destination: all state is written
  int64_t entered;   // destination: every vCPU has left the guest for the first time
};

Result<Times> run_round(const Options& options);

}  // namespace pagurus::floor
