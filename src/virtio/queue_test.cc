// What users of a queue rely on, with both layouts; what drivers of one layout can do is in split_ring_test.cc
// and packed_ring_test.cc.
#include "virtio/queue.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

#include "virtio/testing/make_ring.h"

namespace pagurus::virtio {
namespace {

using memory::GuestMemory;
using testing::DriverRing;
using testing::Layout;

constexpr uint64_t kRam = 64 * memory::kMiB;
constexpr memory::GuestAddress kRing{0x10000};
constexpr uint16_t kSize = 8;

struct QueueTest : ::testing::TestWithParam<Layout> {
  QueueTest() { EXPECT_TRUE(ram.allocate()); }
  bool packed() const { return GetParam() == Layout::kPacked; }
  QueueFeatures with(QueueFeatures features) const {
    features.packed = packed();
    return features;
  }
  Queue start(QueueFeatures features = {}) { return start_at(Queue::first_position({.packed = packed()}), features); }
  Queue start_at(QueuePosition position, QueueFeatures features = {}) {
    auto queue = Queue::activate(ring.config(), 256, with(features), position, ram);
    EXPECT_TRUE(queue) << queue.error().message();
    return *std::move(queue);
  }
  // One chain on its way and back.
  bool serve(Queue& queue, uint32_t written = 1) {
    if (!queue.pop(chain).value()) return false;
    queue.push_used(chain, written);
    (void)queue.publish_used();
    return true;
  }

  GuestMemory ram = *GuestMemory::create(kRam, memory::Pages::kSmall);
  std::unique_ptr<DriverRing> ring_ = testing::make_ring(GetParam(), ram, kRing, kSize);
  DriverRing& ring = *ring_;
  DescriptorChain chain;
};

INSTANTIATE_TEST_SUITE_P(Layouts, QueueTest, ::testing::Values(Layout::kSplit, Layout::kPacked),
                         ::testing::PrintToStringParamName());

TEST_P(QueueTest, activation_refuses_what_a_driver_may_not_write) {
  struct Case {
    const char* name;
    void (*spoil)(QueueConfig&);
  };
  const Case cases[] = {
      {"size 0", [](QueueConfig& c) { c.size = 0; }},
      {"size beyond the maximum", [](QueueConfig& c) { c.size = 512; }},
      {"misaligned descriptors", [](QueueConfig& c) { c.descriptors.value += 8; }},
      {"misaligned driver area", [](QueueConfig& c) { c.avail.value += 1; }},
      {"misaligned device area", [](QueueConfig& c) { c.used.value += 2; }},
      {"outside RAM", [](QueueConfig& c) { c.used = {kRam}; }},
      {"across the end of RAM", [](QueueConfig& c) { c.descriptors = {kRam - 16}; }},
      {"wrapping", [](QueueConfig& c) { c.avail = {UINT64_MAX - 3}; }},
  };
  QueueFeatures features = with({});
  for (const Case& each : cases) {
    QueueConfig config = ring.config();
    each.spoil(config);
    EXPECT_FALSE(Queue::activate(config, 256, features, Queue::first_position(features), ram)) << each.name;
  }
}

TEST_P(QueueTest, a_chain_is_split_into_readable_and_writable) {
  Queue queue = start();
  ring.offer({{0x20000, 10}, {0x21000, 20}, {0x22000, 30, true}});
  ASSERT_TRUE(queue.pop(chain).value());
  EXPECT_EQ(chain.readable().size(), 2u);
  EXPECT_EQ(chain.readable_bytes(), 30u);
  ASSERT_EQ(chain.writable().size(), 1u);
  EXPECT_EQ(chain.writable()[0].iov_base, ram.host_base() + 0x22000);
  EXPECT_EQ(chain.writable_bytes(), 30u);
  EXPECT_FALSE(queue.pop(chain).value());
}

TEST_P(QueueTest, used_elements_appear_together_when_published) {
  Queue queue = start();
  uint16_t a = ring.offer({{0x20000, 10, true}});
  uint16_t b = ring.offer({{0x21000, 10}, {0x22000, 10, true}});
  uint16_t c = ring.offer({{0x21000, 10}});
  for (uint32_t written : {4, 5, 0}) {
    ASSERT_TRUE(queue.pop(chain).value());
    queue.push_used(chain, written);
  }
  EXPECT_TRUE(ring.take_used().empty());
  EXPECT_TRUE(queue.publish_used());
  auto used = ring.take_used();
  ASSERT_EQ(used.size(), 3u);
  EXPECT_EQ(used[0].id, a);
  EXPECT_EQ(used[0].length, 4u);
  EXPECT_EQ(used[1].id, b);
  EXPECT_EQ(used[1].length, 5u);
  EXPECT_EQ(used[2].id, c);
  EXPECT_FALSE(queue.publish_used()) << "nothing new";
}

TEST_P(QueueTest, chains_can_come_back_in_another_order) {
  Queue queue = start();
  for (int round = 0; round < 20; ++round) {
    uint16_t a = ring.offer({{0x20000, 10}, {0x21000, 10, true}, {0x22000, 10, true}});
    uint16_t b = ring.offer({{0x23000, 10, true}});
    ASSERT_TRUE(queue.pop(chain).value());
    DescriptorChain first = chain;
    ASSERT_TRUE(queue.pop(chain).value());
    EXPECT_EQ(chain.id(), b);
    queue.push_used(chain, 1);
    (void)queue.publish_used();
    auto used = ring.take_used();
    ASSERT_EQ(used.size(), 1u);
    EXPECT_EQ(used[0].id, b);
    queue.push_used(first, 2);
    (void)queue.publish_used();
    used = ring.take_used();
    ASSERT_EQ(used.size(), 1u);
    EXPECT_EQ(used[0].id, a);
  }
}

TEST_P(QueueTest, chains_given_back_come_again_in_order) {
  Queue queue = start();
  for (int round = 0; round < 20; ++round) {
    std::vector<uint16_t> offered;
    for (uint64_t i = 0; i < 3; ++i) {
      offered.push_back(ring.offer({{0x20000 + 0x2000 * i, 10}, {0x21000 + 0x2000 * i, 10, true}}));
    }
    DescriptorChain chains[3];
    for (auto& each : chains) ASSERT_TRUE(queue.pop(each).value());
    queue.unpop(chains[2]);
    queue.unpop(chains[1]);
    queue.push_used(chains[0], 0);
    EXPECT_TRUE(queue.publish_used());
    for (int i : {1, 2}) {
      ASSERT_TRUE(queue.pop(chain).value());
      EXPECT_EQ(chain.id(), offered[i]);
      EXPECT_EQ(chain.writable()[0].iov_base, chains[i].writable()[0].iov_base);
      queue.push_used(chain, 0);
    }
    EXPECT_FALSE(queue.pop(chain).value());
    EXPECT_TRUE(queue.publish_used());
    EXPECT_EQ(ring.take_used().size(), 3u);
  }
}

TEST_P(QueueTest, a_full_ring_is_served_however_often_it_was_gone_round) {
  Queue queue = start();
  uint16_t done = 0;
  for (int round = 0; round < 100; ++round) {
    // Of three descriptors each, in a ring of eight.
    std::vector<DescriptorChain> chains(2);
    std::vector<uint16_t> offered;
    for (size_t i = 0; i < chains.size(); ++i) {
      offered.push_back(ring.offer({{0x20000, 10}, {0x21000, 10}, {0x22000, 10, true}}));
    }
    for (auto& each : chains) ASSERT_TRUE(queue.pop(each).value());
    EXPECT_FALSE(queue.pop(chain).value());
    for (size_t i = 0; i < chains.size(); ++i) {
      EXPECT_EQ(chains[i].id(), offered[i]);
      queue.push_used(chains[i], 3);
    }
    EXPECT_TRUE(queue.publish_used());
    EXPECT_EQ(ring.used(), done += 2);
  }
}

TEST_P(QueueTest, a_queue_goes_on_from_the_position_it_had) {
  std::optional<Queue> queue(start());
  for (int round = 0; round < 50; ++round) {
    ring.offer({{0x20000, 10}, {0x21000, 10, true}});
    uint16_t second = ring.offer({{0x20000, 10}, {0x21000, 10}, {0x22000, 10, true}});
    ASSERT_TRUE(serve(*queue));
    // With one chain in the ring.
    QueuePosition position = queue->position();
    queue.emplace(start_at(position));
    EXPECT_EQ(queue->position(), position);
    ASSERT_TRUE(queue->pop(chain).value());
    EXPECT_EQ(chain.id(), second);
    queue->push_used(chain, 1);
    EXPECT_TRUE(queue->publish_used());
    EXPECT_FALSE(queue->pop(chain).value());
    EXPECT_EQ(ring.take_used().size(), 2u);
  }
}

// Chains at 0x20000, ... and rings at kRing, each area on pages of its own or shared.
TEST_P(QueueTest, what_the_device_writes_is_in_the_dirty_log) {
  auto dirty = [this] {
    memory::PageBitmap pages(kRam / memory::kPageSize);
    ram.take_dirty(pages);
    std::set<uint64_t> addresses;
    pages.for_each_run([&](memory::PageRun run) {
      for (uint64_t i = 0; i < run.count; ++i) addresses.insert((run.first + i) * memory::kPageSize);
    });
    return addresses;
  };
  for (bool events : {false, true}) {
    ring.restart();
    Queue queue = start({.event_idx = events});
    ring.offer({{0x20000, 10}, {0x21ff0, 0x20, true}, {0x30000, 0x1000, true}});
    ring.offer({{0x40000, 0x2000, true}});
    ASSERT_TRUE(ram.start_dirty_log());
    const uint64_t device = ring.config().used.value & ~(memory::kPageSize - 1);
    const uint64_t used = packed() ? kRing.value : device;
    EXPECT_TRUE(queue.enable_kicks().value());
    EXPECT_EQ(dirty(), std::set{device}) << "where kicks are asked for";
    ASSERT_TRUE(queue.pop(chain).value());
    EXPECT_TRUE(dirty().empty()) << "a chain that is only taken";
    queue.push_used(chain, 0x21);
    EXPECT_EQ(dirty(), (std::set<uint64_t>{used, 0x21000, 0x22000, 0x30000}));
    (void)queue.publish_used();
    EXPECT_EQ(dirty(), std::set{used}) << "what makes it visible";
    ASSERT_TRUE(queue.pop(chain).value());
    queue.note_written(chain, 0x1000);
    queue.unpop(chain);
    EXPECT_EQ(dirty(), std::set<uint64_t>{0x40000}) << "written and given back";
    queue.disable_kicks();
    EXPECT_EQ(dirty().size(), events && !packed() ? 0u : 1u);
    ram.stop_dirty_log();
    (void)queue.enable_kicks();
    EXPECT_TRUE(dirty().empty()) << "the log is off";
  }
}

TEST_P(QueueTest, kicks_are_asked_for_only_where_the_ring_is_empty) {
  for (bool events : {false, true}) {
    SCOPED_TRACE(events);
    QueueFeatures features = with({.event_idx = events});
    ring.restart();
    Queue queue = start(features);
    for (int round = 0; round < 20; ++round) {
      EXPECT_FALSE(queue.pop_or_enable_kicks(chain).value());
      ring.offer({{0x20000, 10}, {0x20000, 10, true}});
      EXPECT_TRUE(ring.kick_wanted(features));
      EXPECT_TRUE(queue.enable_kicks().value()) << "offered before it was asked for";
      queue.disable_kicks();
      ring.offer({{0x20000, 10, true}});
      EXPECT_FALSE(ring.kick_wanted(features));
      ASSERT_TRUE(queue.pop_or_enable_kicks(chain).value());
      queue.push_used(chain, 0);
      ASSERT_TRUE(queue.pop_or_enable_kicks(chain).value());
      queue.push_used(chain, 0);
      EXPECT_FALSE(queue.pop(chain).value());
      EXPECT_TRUE(queue.publish_used());
      EXPECT_EQ(ring.take_used().size(), 2u);
      if (events) ring.interrupt_at(0);
    }
  }
}

TEST_P(QueueTest, a_driver_can_do_without_interrupts) {
  Queue queue = start();
  ring.offer({{0x20000, 10, true}});
  ring.forbid_interrupts();
  ASSERT_TRUE(queue.pop(chain).value());
  queue.push_used(chain, 0);
  EXPECT_FALSE(queue.publish_used());
  EXPECT_EQ(ring.used(), 1);
}

// virtio 1.2, 2.7.10 and 2.8.10: the interrupt is due exactly when what is used passes the event.
TEST_P(QueueTest, an_interrupt_is_due_when_the_chain_comes_back_that_was_asked_for) {
  struct Case {
    int count, event;
    bool due;
  };
  const Case cases[] = {{1, 0, true},   {1, 1, false}, {3, 2, true},  {3, 3, false}, {3, 0, true},
                        {1, -1, false}, {8, 7, true},  {8, 8, false}, {5, -3, false}};
  // On both sides of where an index, or the ring, begins again.
  std::vector<uint16_t> starts{0, 5, 0xfffc, 0xffff};
  if (packed()) starts = {kPackedWrap, kPackedWrap | 5, 7, kPackedWrap | 7, 3, 0};
  for (const Case& each : cases) {
    for (uint16_t start : starts) {
      ring.restart_at({.avail = start, .used = start});
      Queue queue = start_at({.avail = start, .used = start}, {.event_idx = true});
      ring.interrupt_at(each.event);
      for (int i = 0; i < each.count; ++i) {
        ring.offer({{0x20000, 10, true}});
        ASSERT_TRUE(queue.pop(chain).value());
        queue.push_used(chain, 0);
      }
      EXPECT_EQ(queue.publish_used(), each.due) << start << "+" << each.count << " event " << each.event;
    }
  }
}

// Whatever lies in the rings: every call ends, no address outside RAM comes out, nothing grows.
TEST_P(QueueTest, garbage_rings_end_in_chains_or_a_broken_ring) {
  std::mt19937_64 random(20240229);
  auto any = [&](uint64_t below) { return random() % below; };
  int broken_rings = 0;
  int good_chains = 0;
  for (int round = 0; round < 20'000; ++round) {
    ring.restart();
    auto descriptor = [&] {
      uint64_t address = any(4) == 0 ? random() : any(2) == 0 ? 0x30000 + any(256) : any(kRam);
      return Descriptor{.address = address,
                        .length = static_cast<uint32_t>(any(3) == 0   ? random()
                                                        : any(3) == 0 ? 16 * any(20)
                                                                      : any(4096)),
                        .flags = static_cast<uint16_t>(any(8)),
                        .next = static_cast<uint16_t>(any(kSize + 1))};
    };
    ring.offer_garbage(descriptor, any);
    for (uint64_t i = 0; i < 16; ++i) ram.write_value({0x30000 + 16 * i}, descriptor());
    Queue queue = start({.event_idx = any(2) == 0, .indirect = any(4) != 0});
    for (int i = 0; i < 2 * kSize; ++i) {
      auto popped = queue.pop(chain);
      if (!popped) ++broken_rings;
      if (!popped || !*popped) break;
      ++good_chains;
      EXPECT_LE(chain.readable().size() + chain.writable().size(), kSize);
      for (auto part : {chain.readable(), chain.writable()}) {
        for (const iovec& buffer : part) {
          auto* begin = static_cast<uint8_t*>(buffer.iov_base);
          ASSERT_TRUE(begin >= ram.host_base() && buffer.iov_len <= kRam &&
                      begin + buffer.iov_len <= ram.host_base() + kRam);
        }
      }
      if (any(4) == 0) {
        queue.unpop(chain);
      } else {
        queue.push_used(chain, 1);
      }
      if (any(2) == 0) (void)queue.publish_used();
      if (any(8) == 0) (void)queue.enable_kicks();
    }
  }
  EXPECT_GT(broken_rings, 1000);
  EXPECT_GT(good_chains, 1000);
}

}  // namespace
}  // namespace pagurus::virtio
