// One run: a sending and a receiving thread on one socket.
#pragma once

#include <atomic>
#include <cstdint>
#include <expected>
#include <string>

#include "ledger.h"
#include "options.h"

namespace pagurus::udp_probe {

struct Outcome {
  uint64_t sent = 0;
  uint64_t refused = 0;        // the kernel did not take the packet (not counted as sent)
  uint64_t icmp_errors = 0;    // "connection refused" and the like came back
  uint64_t foreign = 0;        // datagrams that are not replies to this run
  uint64_t local_drops = 0;    // replies lost in our own socket's queue
  int64_t elapsed_ns = 0;      // of sending
  int64_t longest_send_gap_ns = 0;  // the probe's own worst pause, to be compared with the silences
  Ledger ledger;

  uint64_t lost() const { return sent - ledger.replies(); }
};

// Runs until the duration or count of the options is reached or `stop` becomes true, and then waits for the last
// replies.  Sending times are absolute: after a stall of the sender the packets that are due follow at once, so the rate
// holds on average.  Times of arrival are the kernel's time stamps: how late this process is scheduled does not
// count.
std::expected<Outcome, std::string> run_session(const Options& options, const std::atomic<bool>& stop);

}  // namespace pagurus::udp_probe
