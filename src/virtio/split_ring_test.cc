#include "virtio/split_ring.h"

#include <gtest/gtest.h>

#include "virtio/queue.h"
#include "virtio/testing/ring_builder.h"

namespace pagurus::virtio {
namespace {

using memory::GuestMemory;
using testing::RingBuilder;

constexpr uint64_t kRam = 64 * memory::kMiB;
constexpr memory::GuestAddress kRing{0x10000};
constexpr uint16_t kSize = 8;

struct SplitRingTest : ::testing::Test {
  SplitRingTest() { EXPECT_TRUE(ram.allocate()); }
  Queue start(QueueFeatures features = {}, QueuePosition position = {}) {
    auto queue = Queue::activate(ring.config(), 256, features, position, ram);
    EXPECT_TRUE(queue) << queue.error().message();
    return *std::move(queue);
  }
  GuestMemory ram = *GuestMemory::create(kRam, memory::Pages::kSmall);
  RingBuilder ring{ram, kRing, kSize};
  DescriptorChain chain;
};

TEST_F(SplitRingTest, activation_refuses_what_only_other_layouts_have) {
  QueueConfig config = ring.config();
  config.size = 6;
  EXPECT_FALSE(Queue::activate(config, 256, {}, {}, ram));
  EXPECT_FALSE(Queue::activate(ring.config(), 256, {}, {.avail = 9, .used = 0}, ram)) << "more in flight than entries";
}

TEST_F(SplitRingTest, indices_wrap) {
  QueuePosition before_wrap{.avail = 0xfffe, .used = 0xfffe};
  ring.restart_at(before_wrap);
  Queue queue = start({}, before_wrap);
  for (int i = 0; i < 5; ++i) {
    ring.offer({{0x20000, 10, true}});
    ASSERT_TRUE(queue.pop(chain).value()) << i;
    queue.push_used(chain, 1);
    EXPECT_TRUE(queue.publish_used());
  }
  EXPECT_EQ(ring.used(), 3);
  EXPECT_EQ(queue.position().avail, 3);
}

TEST_F(SplitRingTest, an_indirect_table_is_one_chain) {
  Queue queue = start({.indirect = true});
  ram.write_value({0x30000}, Descriptor{.address = 0x20000, .length = 16, .flags = kDescNext, .next = 1});
  ram.write_value({0x30010}, Descriptor{.address = 0x21000, .length = 32, .flags = kDescWrite, .next = 0});
  ring.set_descriptor(3, {.address = 0x30000, .length = 32, .flags = kDescIndirect, .next = 0});
  ring.offer_head(3);
  ASSERT_TRUE(queue.pop(chain).value());
  EXPECT_EQ(chain.id(), 3);
  EXPECT_EQ(chain.readable_bytes(), 16u);
  EXPECT_EQ(chain.writable_bytes(), 32u);
}

struct Hostile {
  const char* name;
  std::vector<Descriptor> table;     // descriptors 0...
  std::vector<Descriptor> indirect;  // at 0x30000
};

TEST_F(SplitRingTest, a_chain_that_breaks_the_rules_breaks_the_ring) {
  const Descriptor indirect{.address = 0x30000, .length = 32, .flags = kDescIndirect, .next = 0};
  const Descriptor good{.address = 0x20000, .length = 16, .flags = 0, .next = 0};
  auto with = [](Descriptor d, auto change) {
    change(d);
    return d;
  };
  const Hostile cases[] = {
      {"loop", {{0x20000, 16, kDescNext, 1}, {0x20000, 16, kDescNext, 0}}, {}},
      {"next beyond the table", {{0x20000, 16, kDescNext, kSize}}, {}},
      {"buffer outside RAM", {{kRam, 16, 0, 0}}, {}},
      {"buffer across the end of RAM", {{kRam - 8, 16, 0, 0}}, {}},
      {"buffer that wraps", {{UINT64_MAX - 7, 16, 0, 0}}, {}},
      {"empty buffer", {{0x20000, 0, 0, 0}}, {}},
      {"readable behind writable", {{0x20000, 16, kDescWrite | kDescNext, 1}, good}, {}},
      {"indirect and next", {with(indirect, [](auto& d) { d.flags |= kDescNext; })}, {good, good}},
      {"indirect inside indirect", {indirect}, {indirect, good}},
      {"indirect length not a multiple", {with(indirect, [](auto& d) { d.length = 24; })}, {good}},
      {"indirect length zero", {with(indirect, [](auto& d) { d.length = 0; })}, {good}},
      {"indirect outside RAM", {with(indirect, [](auto& d) { d.address = kRam; })}, {}},
      {"indirect next beyond its table", {indirect}, {with(good, [](auto& d) { d.flags = kDescNext, d.next = 2; })}},
      {"indirect loop", {indirect}, {with(good, [](auto& d) { d.flags = kDescNext, d.next = 0; })}},
  };
  for (const Hostile& each : cases) {
    RingBuilder fresh(ram, kRing, kSize);
    for (size_t i = 0; i < each.table.size(); ++i) fresh.set_descriptor(static_cast<uint16_t>(i), each.table[i]);
    for (size_t i = 0; i < each.indirect.size(); ++i) ram.write_value({0x30000 + 16 * i}, each.indirect[i]);
    fresh.offer_head(0);
    Queue queue = start({.indirect = true});
    EXPECT_FALSE(queue.pop(chain)) << each.name;
  }
}

TEST_F(SplitRingTest, an_indirect_table_that_was_not_negotiated_breaks_the_ring) {
  ring.set_descriptor(0, {.address = 0x30000, .length = 16, .flags = kDescIndirect, .next = 0});
  ring.offer_head(0);
  EXPECT_FALSE(start().pop(chain));
}

TEST_F(SplitRingTest, a_head_beyond_the_table_breaks_the_ring) {
  ring.offer_head(kSize);
  EXPECT_FALSE(start().pop(chain));
}

TEST_F(SplitRingTest, an_available_index_that_jumps_breaks_the_ring) {
  Queue queue = start();
  ring.chain({{0x20000, 10, true}});
  ring.set_avail(kSize + 1);
  EXPECT_FALSE(queue.pop(chain));
  ring.set_avail(0xffff);
  EXPECT_FALSE(queue.pop(chain)) << "backwards";
  ring.set_avail(kSize);
  EXPECT_TRUE(queue.pop(chain).value()) << "a full ring is fine";
}

TEST_F(SplitRingTest, without_events_a_flag_asks_for_kicks) {
  Queue queue = start();
  queue.disable_kicks();
  EXPECT_EQ(ring.used_flags(), kUsedNoNotify);
  EXPECT_FALSE(queue.enable_kicks().value());
  EXPECT_EQ(ring.used_flags(), 0);
}

TEST_F(SplitRingTest, with_events_an_index_asks_for_kicks) {
  Queue queue = start({.event_idx = true});
  ring.offer({{0x20000, 10, true}});
  ASSERT_TRUE(queue.pop(chain).value());
  EXPECT_FALSE(queue.enable_kicks().value());
  EXPECT_EQ(ring.avail_event(), 1);
}

}  // namespace
}  // namespace pagurus::virtio
