// RamSource: the guest's RAM on its way to another machine, copied while the guest runs.
//
//   begin() ─▶ next() ... next() ─▶ sync() ─▶ next() ... ─▶ converged()
//                                     ▲_________________________│ no
//   the guest is frozen and saved ─▶ begin_pause() ─▶ sync() ─▶ next() ... ─▶ STATE
//
// A round sends the pages that were written since the one before; the first one sends all that the
// guest has ever touched.  The rest is zero on both sides.  A page is taken off the list before it is
// read, so a write that comes in between puts it on the list of the next round; the last round finds
// the guest still.
//
// Threads: the control thread.  Times are CLOCK_MONOTONIC in ns, given by the caller.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/result.h"
#include "machine/logged_ram.h"
#include "wire/messages.h"

namespace pagurus::migration {

// Named as in QEMU's MigrationStats (`ram` of query-migrate).
struct RamStatistics {
  uint64_t transferred = 0;   // bytes of messages, without the channel's frames
  uint64_t remaining = 0;     // bytes
  uint64_t total = 0;         // bytes
  uint64_t duplicate = 0;     // pages that were zero
  uint64_t normal = 0;        // pages that were not
  uint64_t normal_bytes = 0;  // of these
  uint64_t dirty_sync_count = 0;
  uint64_t dirty_pages_rate = 0;  // written pages a second, in the last round
  double mbps = 0;                // megabits a second, over the last rounds
  uint64_t page_size = 0;
  uint64_t precopy_bytes = 0;   // of `transferred`: while the guest ran
  uint64_t downtime_bytes = 0;  // of `transferred`: in the pause
};

class RamSource {
 public:
  // `ram` outlives it.
  explicit RamSource(machine::LoggedRam& ram);
  // Stops the log.
  ~RamSource();
  RamSource(const RamSource&) = delete;
  RamSource& operator=(const RamSource&) = delete;

  // Starts the log and the first round.  Once.
  Result<void> begin(int64_t now_ns);
  // The next pages, at most `max_bytes` of data (but at least a page), and no more than one message
  // takes.  It looks at a bounded number of pages.  Empty if this round has no more.
  std::optional<wire::Ram> next(size_t max_bytes);
  // The next round: adds the pages written since the last one.  The bandwidth is measured from sync()
  // to sync(), so call it when the channel has taken everything, or is about to.
  Result<void> sync(int64_t now_ns);
  // What is sent from now on is part of the pause.
  void begin_pause() { in_pause_ = true; }

  uint64_t remaining_pages() const { return remaining_pages_; }
  // Bytes a second over the last rounds; 0 before the first sync().
  uint64_t bandwidth() const;
  // Whether the rest can be sent within the limit.
  bool converged(uint64_t downtime_limit_ms, uint64_t bytes_per_s) const;
  RamStatistics statistics() const;

 private:
  struct Round {
    uint64_t bytes;
    int64_t ns;
  };
  void end_round(int64_t now_ns);
  void count(const wire::Ram& message);

  machine::LoggedRam& ram_;
  // Still to be sent.
  memory::PageBitmap dirty_;
  uint64_t remaining_pages_ = 0;
  uint64_t at_ = 0;  // where next() goes on
  bool in_pause_ = false;
  int64_t round_began_ns_ = 0;
  uint64_t round_bytes_ = 0;
  std::vector<Round> rounds_;  // the last ones, of 100 ms or a little more
  RamStatistics statistics_;
};

}  // namespace pagurus::migration
