// RamSink: puts the pages that arrive into the guest's RAM.
//
// The peer is a stranger: every run of a message is checked before any is applied, so a message that
// is refused changes nothing.  Pages that are zero here and there stay as they are: RAM that the guest
// has never touched is not allocated by being copied.
//
// Threads: the control thread, before the guest runs.
#pragma once

#include "base/result.h"
#include "memory/guest_memory.h"
#include "wire/messages.h"

namespace pagurus::migration {

class RamSink {
 public:
  // `memory` has its bytes and outlives the sink.
  explicit RamSink(memory::GuestMemory& memory) : memory_(memory) {}

  // Refuses a run that is not in RAM, and data that is not that of the runs, naming the run.
  Result<void> apply(const wire::Ram& message);

 private:
  Result<void> check(const wire::Ram& message) const;
  Result<void> make_zero(uint64_t offset, uint64_t size);
  Result<void> make_touched_zero(uint64_t offset, uint64_t size);

  memory::GuestMemory& memory_;
};

}  // namespace pagurus::migration
