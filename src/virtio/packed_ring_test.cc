#include "virtio/packed_ring.h"

#include <gtest/gtest.h>

#include "virtio/queue.h"
#include "virtio/testing/packed_ring_builder.h"

namespace pagurus::virtio {
namespace {

using memory::GuestMemory;
using testing::PackedRingBuilder;

constexpr uint64_t kRam = 64 * memory::kMiB;
constexpr memory::GuestAddress kRing{0x10000};
constexpr uint16_t kSize = 7;

struct PackedRingTest : ::testing::Test {
  PackedRingTest() { EXPECT_TRUE(ram.allocate()); }
  Queue start(QueueFeatures features = {}, QueuePosition position = PackedRing::kFirstPosition) {
    features.packed = true;
    auto queue = Queue::activate(ring.config(), 256, features, position, ram);
    EXPECT_TRUE(queue) << queue.error().message();
    return *std::move(queue);
  }
  GuestMemory ram = *GuestMemory::create(kRam, memory::Pages::kSmall);
  PackedRingBuilder ring{ram, kRing, kSize};
  DescriptorChain chain;
};

TEST_F(PackedRingTest, a_position_that_no_ring_can_have_is_refused) {
  auto starts = [&](uint16_t used, uint16_t avail) {
    return Queue::activate(ring.config(), 256, {.packed = true}, {.avail = avail, .used = used}, ram).has_value();
  };
  EXPECT_TRUE(starts(kPackedWrap, kPackedWrap | 6)) << "six in flight";
  EXPECT_TRUE(starts(kPackedWrap | 3, 3)) << "all in flight";
  EXPECT_TRUE(starts(6, kPackedWrap | 1));
  EXPECT_FALSE(starts(kPackedWrap, kPackedWrap | 7)) << "beyond the ring";
  EXPECT_FALSE(starts(7, 7));
  EXPECT_FALSE(starts(kPackedWrap | 3, kPackedWrap | 2)) << "used before it was offered";
  EXPECT_FALSE(starts(kPackedWrap | 3, 4)) << "more than the ring in flight";
}

TEST_F(PackedRingTest, an_entry_used_says_what_the_specification_wants) {
  Queue queue = start();
  for (uint16_t round = 0; round < 5; ++round) {
    uint16_t owner = round % 2 == 0 ? kPackedAvail | kPackedUsed : 0;
    for (uint16_t i = 0; i < kSize; ++i) {
      uint16_t id = ring.offer({{0x20000, 10, true}});
      ASSERT_TRUE(queue.pop(chain).value());
      EXPECT_EQ(chain.id(), id);
      queue.push_used(chain, i);
      EXPECT_TRUE(queue.publish_used());
      PackedDescriptor used = ring.descriptor(i);
      EXPECT_EQ(used.id, id);
      EXPECT_EQ(used.length, i);
      EXPECT_EQ(used.flags, owner | (i != 0 ? kDescWrite : 0)) << "written, or not";
    }
  }
}

TEST_F(PackedRingTest, the_first_entry_of_those_published_is_written_last) {
  Queue queue = start();
  for (int i = 0; i < 3; ++i) ring.offer({{0x20000, 10}, {0x21000, 10, true}});
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(queue.pop(chain).value());
    queue.push_used(chain, 1);
  }
  constexpr uint16_t kUsed = kPackedAvail | kPackedUsed | kDescWrite;
  EXPECT_NE(ring.descriptor(0).flags, kUsed);
  EXPECT_EQ(ring.descriptor(2).flags, kUsed);
  EXPECT_EQ(ring.descriptor(4).flags, kUsed);
  EXPECT_TRUE(queue.publish_used());
  EXPECT_EQ(ring.descriptor(0).flags, kUsed);
}

TEST_F(PackedRingTest, an_indirect_table_is_one_chain_and_one_entry) {
  Queue queue = start({.indirect = true});
  // Flags that mean nothing there, and an id.
  ram.write_value({0x30000}, PackedDescriptor{0x20000, 16, 9, kDescNext | kDescIndirect});
  ram.write_value({0x30010}, PackedDescriptor{0x21000, 32, 9, kDescWrite});
  ring.offer_descriptors({{0x30000, 32, 0xabcd, kDescIndirect | kDescWrite}});
  ASSERT_TRUE(queue.pop(chain).value());
  EXPECT_EQ(chain.id(), 0xabcd);
  EXPECT_EQ(chain.readable_bytes(), 16u);
  EXPECT_EQ(chain.writable_bytes(), 32u);
  EXPECT_EQ(queue.position().avail, kPackedWrap | 1);
  queue.unpop(chain);
  EXPECT_EQ(queue.position(), PackedRing::kFirstPosition);
}

TEST_F(PackedRingTest, the_last_entry_of_a_chain_names_it) {
  Queue queue = start();
  ring.offer_descriptors({{0x20000, 16, 1, kDescNext}, {0x20000, 16, 2, kDescNext}, {0x20000, 16, 0xffff, 0}});
  ASSERT_TRUE(queue.pop(chain).value());
  EXPECT_EQ(chain.id(), 0xffff);
  EXPECT_EQ(queue.position().avail, kPackedWrap | 3);
}

struct Hostile {
  const char* name;
  std::vector<PackedDescriptor> ring;
  std::vector<PackedDescriptor> indirect;  // at 0x30000
};

TEST_F(PackedRingTest, a_chain_that_breaks_the_rules_breaks_the_ring) {
  const PackedDescriptor good{0x20000, 16, 0, 0};
  const PackedDescriptor next{0x20000, 16, 0, kDescNext};
  const PackedDescriptor indirect{0x30000, 32, 0, kDescIndirect};
  const Hostile cases[] = {
      {"longer than the ring", std::vector(kSize, next), {}},
      {"goes on where nothing is offered", {next, next}, {}},
      {"buffer outside RAM", {{kRam, 16, 0, 0}}, {}},
      {"buffer across the end of RAM", {{kRam - 8, 16, 0, 0}}, {}},
      {"buffer that wraps", {{UINT64_MAX - 7, 16, 0, 0}}, {}},
      {"empty buffer", {{0x20000, 0, 0, 0}}, {}},
      {"readable behind writable", {{0x20000, 16, 0, kDescWrite | kDescNext}, good}, {}},
      {"more than 4 GiB", std::vector(kSize - 1, PackedDescriptor{0, 0xffff'ffff, 0, kDescNext}), {}},
      {"indirect and next", {{0x30000, 32, 0, kDescIndirect | kDescNext}, good}, {good, good}},
      {"indirect behind another", {next, indirect}, {good, good}},
      {"indirect length not a multiple", {{0x30000, 24, 0, kDescIndirect}}, {good}},
      {"indirect length zero", {{0x30000, 0, 0, kDescIndirect}}, {good}},
      {"indirect outside RAM", {{kRam, 32, 0, kDescIndirect}}, {}},
      {"indirect longer than the queue", {{0x30000, 16 * (kSize + 1), 0, kDescIndirect}}, std::vector(kSize + 1, good)},
      {"indirect with a buffer outside RAM", {indirect}, {good, {kRam, 16, 0, 0}}},
      {"indirect with an empty buffer", {indirect}, {good, {0x20000, 0, 0, 0}}},
      {"indirect with readable behind writable", {indirect}, {{0x20000, 16, 0, kDescWrite}, good}},
  };
  for (const Hostile& each : cases) {
    PackedRingBuilder fresh(ram, kRing, kSize);
    for (size_t i = 0; i < each.indirect.size(); ++i) ram.write_value({0x30000 + 16 * i}, each.indirect[i]);
    fresh.offer_descriptors(each.ring);
    Queue queue = start({.indirect = true});
    EXPECT_FALSE(queue.pop(chain)) << each.name;
  }
}

TEST_F(PackedRingTest, an_indirect_table_that_was_not_negotiated_breaks_the_ring) {
  ring.offer_descriptors({{0x30000, 16, 0, kDescIndirect}});
  EXPECT_FALSE(start().pop(chain));
}

TEST_F(PackedRingTest, entries_in_flight_cannot_be_offered_again) {
  Queue queue = start();
  for (int i = 0; i < kSize; ++i) ring.offer({{0x20000, 10, true}});
  for (int i = 0; i < kSize; ++i) ASSERT_TRUE(queue.pop(chain).value());
  EXPECT_FALSE(queue.pop(chain).value()) << "a full ring is fine";
  ring.offer({{0x20000, 10, true}});
  EXPECT_FALSE(queue.pop(chain));
}

TEST_F(PackedRingTest, entries_that_have_not_come_back_yet_cannot_be_offered_again) {
  Queue queue = start();
  for (int i = 0; i < kSize; ++i) ring.offer({{0x20000, 10, true}});
  for (int i = 0; i < kSize; ++i) {
    ASSERT_TRUE(queue.pop(chain).value());
    queue.push_used(chain, 1);
  }
  ring.offer({{0x20000, 10, true}});
  EXPECT_FALSE(queue.pop(chain)) << "none is published";
}

TEST_F(PackedRingTest, a_chain_that_was_taken_back_breaks_the_ring) {
  Queue queue = start();
  EXPECT_FALSE(queue.pop(chain).value());
  ring.offer({{0x20000, 10, true}});
  EXPECT_TRUE(queue.enable_kicks().value());
  ring.restart();
  EXPECT_FALSE(queue.pop(chain)) << "a device that looked again would do so for ever";
}

TEST_F(PackedRingTest, without_events_a_flag_asks_for_kicks) {
  Queue queue = start();
  queue.disable_kicks();
  EXPECT_EQ(ring.device_event().flags, 1);
  EXPECT_FALSE(queue.enable_kicks().value());
  EXPECT_EQ(ring.device_event().flags, 0);
}

TEST_F(PackedRingTest, with_events_a_position_asks_for_kicks) {
  Queue queue = start({.event_idx = true});
  for (uint16_t i = 0; i < 3 * kSize; ++i) {
    EXPECT_FALSE(queue.enable_kicks().value());
    EXPECT_EQ(ring.device_event().flags, 2);
    EXPECT_EQ(ring.device_event().position, i % kSize | (i / kSize % 2 == 0 ? kPackedWrap : 0));
    ring.offer({{0x20000, 10, true}});
    ASSERT_TRUE(queue.pop(chain).value());
    queue.push_used(chain, 0);
    (void)queue.publish_used();
  }
}

TEST_F(PackedRingTest, event_flags_that_mean_nothing_do_not_cost_an_interrupt) {
  for (bool events : {false, true}) {
    for (uint16_t flags : {2, 3, 0xffff}) {
      ring.restart();
      Queue queue = start({.event_idx = events});
      ring.set_driver_event({.position = 5, .flags = flags});
      ring.offer({{0x20000, 10, true}});
      ASSERT_TRUE(queue.pop(chain).value());
      queue.push_used(chain, 0);
      EXPECT_EQ(queue.publish_used(), !(events && flags == 2)) << flags;
    }
  }
}

}  // namespace
}  // namespace pagurus::virtio
