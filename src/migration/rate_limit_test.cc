#include "migration/rate_limit.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace pagurus::migration {
namespace {

constexpr int64_t kMs = 1'000'000;
constexpr int64_t kStart = 5'000'000 * kMs;

// Sends `message` bytes whenever that is allowed, until `end`; returns how many bytes.
uint64_t send_until(RateLimit& limit, int64_t from, int64_t end, uint64_t message) {
  uint64_t sent = 0;
  int64_t now = from;
  while (now < end) {
    if (int64_t wait = limit.wait_ns(now); wait > 0) {
      now += wait;
      continue;
    }
    EXPECT_GT(limit.allowed(now), 0u);
    limit.spend(message, now);
    sent += message;
  }
  return sent;
}

TEST(RateLimit, zero_is_unlimited) {
  RateLimit limit(0);
  EXPECT_EQ(limit.allowed(kStart), UINT64_MAX);
  limit.spend(UINT64_MAX, kStart);
  EXPECT_EQ(limit.wait_ns(kStart), 0);
  EXPECT_EQ(limit.allowed(kStart), UINT64_MAX);
}

TEST(RateLimit, ten_seconds_carry_ten_times_the_rate) {
  for (uint64_t rate : {uint64_t{100'000}, uint64_t{32} << 20, uint64_t{1} << 30}) {
    for (uint64_t message : {uint64_t{20'000}, uint64_t{1} << 20}) {
      RateLimit limit(rate);
      auto sent = static_cast<double>(send_until(limit, kStart, kStart + 10'000 * kMs, message));
      auto expected = static_cast<double>(rate) * 10;
      EXPECT_NEAR(sent, expected, static_cast<double>(std::max(message, rate / 5))) << rate << " in " << message;
    }
  }
}

TEST(RateLimit, a_long_rest_does_not_allow_a_long_burst) {
  RateLimit limit(1'000'000);
  limit.spend(1'000'000, kStart);
  EXPECT_EQ(limit.allowed(kStart + 900 * kMs), 0u);
  EXPECT_EQ(limit.allowed(kStart + 3'600'000 * kMs), 100'000u);
}

TEST(RateLimit, what_was_spent_too_much_is_waited_for) {
  RateLimit limit(1'000'000);
  limit.spend(600'000, kStart);
  EXPECT_EQ(limit.allowed(kStart), 0u);
  int64_t wait = limit.wait_ns(kStart);
  EXPECT_EQ(wait, 510 * kMs) << "500 ms of debt, and 10 ms for a message";
  EXPECT_EQ(limit.allowed(kStart + wait), 10'000u);
}

TEST(RateLimit, a_new_rate_holds_from_now_on) {
  RateLimit limit(1);
  limit.spend(1'000'000, kStart);
  EXPECT_EQ(limit.allowed(kStart + 1000 * kMs), 0u);
  limit.set(1'000'000);
  EXPECT_EQ(limit.allowed(kStart + 1000 * kMs), 100'000u);
  limit.set(0);
  EXPECT_EQ(limit.wait_ns(kStart + 1000 * kMs), 0);
}

}  // namespace
}  // namespace pagurus::migration
