// Accounting of replies.

#include "ledger.h"

#include <algorithm>
#include <bit>
#include <functional>

namespace pagurus::udp_probe {

void LatencyHistogram::add(uint64_t ns) {
  const unsigned exponent = ns < 16 ? 0 : static_cast<unsigned>(std::bit_width(ns)) - 5;
  const uint64_t mantissa = ns >> exponent;  // below 32; from 16 on once the exponent is not 0
  ++buckets_[std::min<size_t>(exponent * 16 + mantissa, buckets_.size() - 1)];
  ++total_;
  max_ = std::max(max_, ns);
}

uint64_t LatencyHistogram::percentile(double share) const {
  if (total_ == 0) return 0;
  const auto wanted = std::max<uint64_t>(1, static_cast<uint64_t>(share * static_cast<double>(total_) + 0.5));
  uint64_t sum = 0;
  for (size_t i = 0; i < buckets_.size(); ++i) {
    sum += buckets_[i];
    if (sum < wanted) continue;
    const uint64_t exponent = i < 32 ? 0 : i / 16 - 1;
    const uint64_t mantissa = i - exponent * 16;
    return std::min(max_, ((mantissa + 1) << exponent) - 1);
  }
  return max_;
}

void Ledger::reply(uint64_t sequence, int64_t sent_ns, int64_t received_ns) {
  if (sequence >= seen_.size()) seen_.resize(std::max<size_t>(sequence + 1, seen_.size() * 2));
  if (seen_[sequence]) {
    ++duplicates_;
    return;
  }
  seen_[sequence] = true;
  ++replies_;
  if (replies_ > 1 && sequence < highest_) ++reordered_;
  highest_ = std::max(highest_, sequence);
  latency_.add(static_cast<uint64_t>(std::max<int64_t>(0, received_ns - sent_ns)));
  if (last_reply_ns_ != 0) note_silence({last_reply_ns_, received_ns - last_reply_ns_, sequence});
  last_reply_ns_ = std::max(last_reply_ns_, received_ns);
}

void Ledger::note_silence(Silence silence) {
  if (silences_.size() == kKept && silence.length_ns <= silences_.back().length_ns) return;
  const auto at = std::ranges::upper_bound(silences_, silence.length_ns, std::greater{}, &Silence::length_ns);
  silences_.insert(at, silence);
  if (silences_.size() > kKept) silences_.pop_back();
}

std::vector<LostRun> Ledger::lost_runs(uint64_t sent, size_t limit) const {
  std::vector<LostRun> runs;
  for (uint64_t i = 0; i < sent && runs.size() < limit; ++i) {
    if (i < seen_.size() && seen_[i]) continue;
    if (!runs.empty() && runs.back().first + runs.back().count == i) {
      ++runs.back().count;
    } else {
      runs.push_back({i, 1});
    }
  }
  return runs;
}

}  // namespace pagurus::udp_probe
