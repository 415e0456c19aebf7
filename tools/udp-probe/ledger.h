// What became of every packet: pure accounting, no sockets.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace pagurus::udp_probe {

// Latencies in buckets of at most 1/16 relative width, from 1 ns to 2^63 ns; no allocation while running.
class LatencyHistogram {
 public:
  void add(uint64_t ns);
  // Upper bound of the bucket that holds the given share (0..1) of all values; 0 if there are none.
  uint64_t percentile(double share) const;
  uint64_t max() const { return max_; }

 private:
  std::array<uint64_t, 64 * 16> buckets_{};
  uint64_t total_ = 0;
  uint64_t max_ = 0;
};

// A time without any reply.
struct Silence {
  int64_t start_ns;  // CLOCK_REALTIME of the last reply before
  int64_t length_ns;
  uint64_t sequence;  // of the first reply after
};

// A run of consecutive packets that never came back.
struct LostRun {
  uint64_t first;
  uint64_t count;
};

// Owned by the receiving thread while it runs, read by others after it has ended.
class Ledger {
 public:
  // A reply has come at `received_ns` for the packet sent at `sent_ns`.
  void reply(uint64_t sequence, int64_t sent_ns, int64_t received_ns);

  uint64_t replies() const { return replies_; }  // without duplicates
  uint64_t duplicates() const { return duplicates_; }
  uint64_t reordered() const { return reordered_; }
  const LatencyHistogram& latency() const { return latency_; }
  // Longest first, at most kKept.
  const std::vector<Silence>& silences() const { return silences_; }
  std::vector<LostRun> lost_runs(uint64_t sent, size_t limit) const;

 private:
  static constexpr size_t kKept = 16;
  void note_silence(Silence silence);

  std::vector<bool> seen_;
  uint64_t replies_ = 0;
  uint64_t duplicates_ = 0;
  uint64_t reordered_ = 0;
  uint64_t highest_ = 0;
  int64_t last_reply_ns_ = 0;
  LatencyHistogram latency_;
  std::vector<Silence> silences_;
};

}  // namespace pagurus::udp_probe
