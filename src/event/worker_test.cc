#include "event/worker.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>

namespace pagurus::event {
namespace {

using namespace std::chrono_literals;

bool eventually(const std::function<bool()>& condition) {
  for (int i = 0; i < 2000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(1ms);
  }
  return false;
}

TEST(Worker, serves_an_fd_only_while_thawed) {
  auto worker = *Worker::create("test");
  auto event = *make_eventfd();
  std::atomic<int> calls = 0;
  ASSERT_TRUE(worker->add(event.get(), EPOLLIN, [&](uint32_t) {
    drain_eventfd(event.get());
    ++calls;
  }));
  worker->wait_frozen();
  signal_eventfd(event.get());
  std::this_thread::sleep_for(20ms);
  EXPECT_EQ(calls, 0);

  worker->thaw();
  EXPECT_TRUE(eventually([&] { return calls == 1; }));

  worker->freeze();
  EXPECT_TRUE(worker->frozen());
  signal_eventfd(event.get());
  std::this_thread::sleep_for(20ms);
  EXPECT_EQ(calls, 1);

  worker->thaw();
  EXPECT_TRUE(eventually([&] { return calls == 2; }));
  worker->freeze();
}

TEST(Worker, freeze_and_thaw_many_times_under_load) {
  auto worker = *Worker::create("test");
  auto event = *make_eventfd();
  std::atomic<bool> inside = false;
  ASSERT_TRUE(worker->add(event.get(), EPOLLIN, [&](uint32_t) {
    inside = true;
    std::this_thread::yield();
    inside = false;
  }));
  signal_eventfd(event.get());
  for (int i = 0; i < 500; ++i) {
    worker->thaw();
    worker->freeze();
    ASSERT_FALSE(inside) << "a frozen worker runs no callback";
  }
}

TEST(Worker, what_was_removed_while_frozen_is_not_served) {
  auto worker = *Worker::create("test");
  std::atomic<int> calls = 0;
  for (int i = 0; i < 500; ++i) {
    auto event = *make_eventfd();
    ASSERT_TRUE(worker->add(event.get(), EPOLLIN, [&](uint32_t) { ++calls; }));
    worker->thaw();
    signal_eventfd(event.get());
    worker->freeze();
    worker->remove(event.get());
    int before = calls;
    worker->thaw();
    std::this_thread::yield();
    worker->freeze();
    ASSERT_EQ(calls, before);
  }
}

TEST(Worker, a_callback_may_remove_itself) {
  auto worker = *Worker::create("test");
  auto event = *make_eventfd();
  std::atomic<int> calls = 0;
  std::string captured(100, 'x');
  std::string seen;
  ASSERT_TRUE(worker->add(event.get(), EPOLLIN, [&, captured](uint32_t) {
    worker->remove(event.get());
    seen = captured;
    ++calls;
  }));
  signal_eventfd(event.get());
  worker->thaw();
  EXPECT_TRUE(eventually([&] { return calls == 1; }));
  std::this_thread::sleep_for(20ms);
  worker->freeze();
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(seen, captured);
}

}  // namespace
}  // namespace pagurus::event
