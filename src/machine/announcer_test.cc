#include "machine/announcer.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/clock.h"

namespace pagurus::machine {
namespace {

TEST(Announcer, announces_five_times_with_growing_intervals) {
  auto loop = *event::Loop::create();
  Announcer announcer(*loop);
  std::vector<int64_t> at_ms;
  int64_t begin = monotonic_ns();
  announcer.start([] { FAIL() << "ended by the next start()"; });
  announcer.start([&] { at_ms.push_back((monotonic_ns() - begin) / 1'000'000); });
  EXPECT_TRUE(at_ms.empty()) << "not before the loop's next turn";
  auto end = *loop->after(1'500'000, [&] { loop->exit(0); });
  ASSERT_TRUE(loop->run());
  ASSERT_EQ(at_ms.size(), 5u);
  // A timer may be late on a busy machine, and is never early.
  const std::vector<int64_t> earliest{0, 50, 200, 450, 800};
  for (size_t i = 0; i < earliest.size(); ++i) EXPECT_GE(at_ms[i], earliest[i]) << i;
  EXPECT_LT(at_ms[0], 50);
}

}  // namespace
}  // namespace pagurus::machine
