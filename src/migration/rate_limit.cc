#include "migration/rate_limit.h"

#include <algorithm>

namespace pagurus::migration {
namespace {

__extension__ using Wide = unsigned __int128;

constexpr uint64_t kNsPerS = 1'000'000'000;
constexpr int64_t kBucketNs = 100'000'000;
// What flows in this time is worth a message.
constexpr int64_t kWorthNs = 10'000'000;

}  // namespace

void RateLimit::set(uint64_t bytes_per_s) {
  if (bytes_per_s == bytes_per_s_) return;
  bytes_per_s_ = bytes_per_s;
  paid_ns_ = INT64_MIN;
}

uint64_t RateLimit::allowed(int64_t now_ns) const {
  if (bytes_per_s_ == 0) return UINT64_MAX;
  int64_t since = std::max(paid_ns_, now_ns - kBucketNs);
  if (since >= now_ns) return 0;
  return static_cast<uint64_t>(Wide{bytes_per_s_} * static_cast<uint64_t>(now_ns - since) / kNsPerS);
}

void RateLimit::spend(uint64_t bytes, int64_t now_ns) {
  if (bytes_per_s_ == 0) return;
  // Rounded up, so that small messages are not free.
  Wide ns = (Wide{bytes} * kNsPerS + bytes_per_s_ - 1) / bytes_per_s_;
  // A day is enough to be paid back at any rate that makes sense.
  constexpr Wide kDay = Wide{86'400} * kNsPerS;
  paid_ns_ = std::max(paid_ns_, now_ns - kBucketNs) + static_cast<int64_t>(std::min(ns, kDay));
}

int64_t RateLimit::wait_ns(int64_t now_ns) const {
  if (bytes_per_s_ == 0) return 0;
  return std::max<int64_t>(0, std::max(paid_ns_, now_ns - kBucketNs) + kWorthNs - now_ns);
}

}  // namespace pagurus::migration
