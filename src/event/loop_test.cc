#include "event/loop.h"

#include <gtest/gtest.h>

#include <thread>

namespace pagurus::event {
namespace {

TEST(Loop, posted_tasks_run_on_the_loop_thread_in_order) {
  auto loop = *Loop::create();
  std::string order;
  std::thread poster([&] {
    loop->post([&] { order += 'a'; });
    loop->post([&] { order += 'b'; });
    loop->post([&] { loop->exit(7); });
  });
  EXPECT_EQ(*loop->run(), 7);
  poster.join();
  EXPECT_EQ(order, "ab");
}

TEST(Loop, a_watch_destroyed_in_its_own_callback_is_called_once) {
  auto loop = *Loop::create();
  auto event = *make_eventfd();
  signal_eventfd(event.get());
  int calls = 0;
  Watch watch = *loop->watch_fd(event.get(), EPOLLIN, [&](uint32_t) {
    ++calls;
    watch = Watch();
  });
  Watch end = *loop->after(20'000, [&] { loop->exit(0); });
  ASSERT_TRUE(loop->run().has_value());
  EXPECT_EQ(calls, 1);
}

TEST(Loop, a_disabled_watch_is_silent) {
  auto loop = *Loop::create();
  auto event = *make_eventfd();
  signal_eventfd(event.get());
  int calls = 0;
  Watch watch = *loop->watch_fd(event.get(), EPOLLIN, [&](uint32_t) { ++calls; });
  watch.set_enabled(false);
  Watch end = *loop->after(10'000, [&] { loop->exit(0); });
  ASSERT_TRUE(loop->run().has_value());
  EXPECT_EQ(calls, 0);
}

}  // namespace
}  // namespace pagurus::event
