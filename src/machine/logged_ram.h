// A machine's RAM as it is copied under the running guest: its bytes, and the log of who writes there.
//
// Threads: the control thread.
#pragma once

#include "base/result.h"
#include "memory/guest_memory.h"

namespace pagurus::machine {

class LoggedRam {
 public:
  virtual ~LoggedRam() = default;

  virtual memory::GuestMemory& ram() = 0;
  // Notes from now on what vCPUs and devices write.  Waits for RCU, milliseconds: starting and stopping
  // are no part of a pause.  A failed start leaves nothing on.
  virtual Result<void> start_dirty_log() = 0;
  // Adds the pages written since the last call, or since the start.
  virtual Result<void> collect_dirty(memory::PageBitmap& into) = 0;
  // Idempotent.
  virtual void stop_dirty_log() = 0;
};

}  // namespace pagurus::machine
