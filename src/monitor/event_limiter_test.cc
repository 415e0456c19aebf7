#include "monitor/event_limiter.h"

#include <gtest/gtest.h>

namespace pagurus::monitor {
namespace {

using qapi::Json;

constexpr EventLimit kLimits[] = {{"BURST", 100, ""}, {"KEYED", 100, "id"}};

class EventLimiterTest : public ::testing::Test {
 protected:
  EventLimiterTest()
      : loop_(std::move(*event::Loop::create())),
        limiter_(
            *loop_,
            [this](qapi::Event event, int64_t at_ns) {
              seen_.push_back(std::string(event.name) + " " + event.data.text() + " " + std::to_string(at_ns));
            },
            kLimits) {}

  void submit(std::string_view name, int value) { limiter_.submit({name, Json(value)}, value); }
  void submit_keyed(const char* id, int at_ns) { limiter_.submit({"KEYED", Json::object({{"id", id}})}, at_ns); }
  void run_for_ms(uint64_t ms) {
    auto timer = loop_->after(ms * 1000, [this] { loop_->exit(0); });
    EXPECT_TRUE(loop_->run().has_value());
  }
  using Seen = std::vector<std::string>;

  std::unique_ptr<event::Loop> loop_;
  Seen seen_;
  EventLimiter limiter_;
};

TEST_F(EventLimiterTest, events_without_a_limit_pass_at_once) {
  for (int i = 0; i < 3; ++i) submit("FREE", i);
  EXPECT_EQ(seen_, (Seen{"FREE 0 0", "FREE 1 1", "FREE 2 2"}));
}

TEST_F(EventLimiterTest, of_a_burst_the_first_comes_at_once_and_the_last_late_with_its_own_time) {
  for (int i = 0; i < 10; ++i) submit("BURST", i);
  EXPECT_EQ(seen_, (Seen{"BURST 0 0"}));
  run_for_ms(150);
  EXPECT_EQ(seen_, (Seen{"BURST 0 0", "BURST 9 9"}));
}

TEST_F(EventLimiterTest, the_late_event_begins_an_interval_of_its_own) {
  submit("BURST", 0);
  submit("BURST", 1);
  auto timer = loop_->after(150'000, [this] { submit("BURST", 2); });
  run_for_ms(170);
  EXPECT_EQ(seen_, (Seen{"BURST 0 0", "BURST 1 1"}));
  limiter_.deliver_held();
  EXPECT_EQ(seen_.back(), "BURST 2 2");
}

TEST_F(EventLimiterTest, after_a_quiet_interval_the_next_comes_at_once) {
  submit("BURST", 0);
  auto timer = loop_->after(150'000, [this] {
    submit("BURST", 1);
    EXPECT_EQ(seen_, (Seen{"BURST 0 0", "BURST 1 1"}));
  });
  run_for_ms(170);
  EXPECT_EQ(seen_.size(), 2u);
}

TEST_F(EventLimiterTest, events_that_differ_in_the_key_are_limited_each_for_itself) {
  submit_keyed("a", 1);
  submit_keyed("b", 2);
  submit_keyed("a", 3);
  submit_keyed("a", 4);
  EXPECT_EQ(seen_, (Seen{R"(KEYED {"id": "a"} 1)", R"(KEYED {"id": "b"} 2)"}));
  limiter_.deliver_held();
  EXPECT_EQ(seen_.size(), 3u);
  EXPECT_EQ(seen_.back(), R"(KEYED {"id": "a"} 4)");
}

}  // namespace
}  // namespace pagurus::monitor
