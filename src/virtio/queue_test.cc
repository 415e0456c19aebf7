#include "virtio/queue.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

#include "virtio/testing/ring_builder.h"

namespace pagurus::virtio {
namespace {

using memory::GuestMemory;
using testing::RingBuilder;

constexpr uint64_t kRam = 64 * memory::kMiB;
constexpr memory::GuestAddress kRing{0x10000};
constexpr uint16_t kSize = 8;

struct QueueTest : ::testing::Test {
  QueueTest() { EXPECT_TRUE(ram.allocate()); }
  Queue start(QueueFeatures features = {}, QueuePosition position = {}) {
    auto queue = Queue::activate(ring.config(), 256, features, position, ram);
    EXPECT_TRUE(queue) << queue.error().message();
    return *std::move(queue);
  }
  GuestMemory ram = *GuestMemory::create(kRam, memory::Pages::kSmall);
  RingBuilder ring{ram, kRing, kSize};
  DescriptorChain chain;
};

TEST_F(QueueTest, activation_refuses_what_a_driver_may_not_write) {
  struct Case {
    const char* name;
    void (*spoil)(QueueConfig&);
  };
  const Case cases[] = {
      {"size 0", [](QueueConfig& c) { c.size = 0; }},
      {"size 6", [](QueueConfig& c) { c.size = 6; }},
      {"size beyond the maximum", [](QueueConfig& c) { c.size = 512; }},
      {"misaligned descriptors", [](QueueConfig& c) { c.descriptors.value += 8; }},
      {"misaligned available ring", [](QueueConfig& c) { c.avail.value += 1; }},
      {"misaligned used ring", [](QueueConfig& c) { c.used.value += 2; }},
      {"outside RAM", [](QueueConfig& c) { c.used = {kRam}; }},
      {"across the end of RAM", [](QueueConfig& c) { c.descriptors = {kRam - 16}; }},
      {"wrapping", [](QueueConfig& c) { c.avail = {UINT64_MAX - 1}; }},
  };
  for (const Case& each : cases) {
    QueueConfig config = ring.config();
    each.spoil(config);
    EXPECT_FALSE(Queue::activate(config, 256, {}, {}, ram)) << each.name;
  }
  EXPECT_FALSE(Queue::activate(ring.config(), 256, {}, {.avail = 9, .used = 0}, ram)) << "more in flight than entries";
}

TEST_F(QueueTest, a_chain_is_split_into_readable_and_writable) {
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

TEST_F(QueueTest, used_elements_appear_together_when_published) {
  Queue queue = start();
  uint16_t a = ring.offer({{0x20000, 10, true}});
  uint16_t b = ring.offer({{0x21000, 10, true}});
  ASSERT_TRUE(queue.pop(chain).value());
  queue.push_used(chain, 4);
  ASSERT_TRUE(queue.pop(chain).value());
  queue.push_used(chain, 5);
  EXPECT_TRUE(ring.take_used().empty());
  EXPECT_TRUE(queue.publish_used());
  auto used = ring.take_used();
  ASSERT_EQ(used.size(), 2u);
  EXPECT_EQ(used[0].id, a);
  EXPECT_EQ(used[0].length, 4u);
  EXPECT_EQ(used[1].id, b);
  EXPECT_FALSE(queue.publish_used()) << "nothing new";
}

TEST_F(QueueTest, chains_given_back_come_again_in_order) {
  Queue queue = start();
  for (uint64_t i = 0; i < 3; ++i) ring.offer({{0x20000 + 0x1000 * i, 10, true}});
  ASSERT_TRUE(queue.pop(chain).value());
  DescriptorChain first = chain;
  ASSERT_TRUE(queue.pop(chain).value());
  uint16_t second = chain.head();
  ASSERT_TRUE(queue.pop(chain).value());
  queue.unpop(2);
  queue.push_used(first, 0);
  EXPECT_TRUE(queue.publish_used());
  ASSERT_TRUE(queue.pop(chain).value());
  EXPECT_EQ(chain.head(), second);
}

TEST_F(QueueTest, indices_wrap) {
  QueuePosition before_wrap{.avail = 0xfffe, .used = 0xfffe};
  ring.set_avail(0xfffe);
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

// Chains at 0x20000, ... and rings at kRing, each area on pages of its own or shared.
TEST_F(QueueTest, what_the_device_writes_is_in_the_dirty_log) {
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
    const uint64_t used = ring.config().used.value & ~(memory::kPageSize - 1);
    EXPECT_TRUE(queue.enable_kicks().value());
    EXPECT_EQ(dirty(), std::set{used}) << "where kicks are asked for";
    ASSERT_TRUE(queue.pop(chain).value());
    EXPECT_TRUE(dirty().empty()) << "a chain that is only taken";
    queue.push_used(chain, 0x21);
    EXPECT_EQ(dirty(), (std::set<uint64_t>{used, 0x21000, 0x22000, 0x30000}));
    (void)queue.publish_used();
    EXPECT_EQ(dirty(), std::set{used}) << "the index";
    ASSERT_TRUE(queue.pop(chain).value());
    queue.note_written(chain, 0x1000);
    queue.unpop(1);
    EXPECT_EQ(dirty(), std::set<uint64_t>{0x40000}) << "written and given back";
    queue.disable_kicks();
    EXPECT_EQ(dirty().size(), events ? 0u : 1u);
    ram.stop_dirty_log();
    (void)queue.enable_kicks();
    EXPECT_TRUE(dirty().empty()) << "the log is off";
  }
}

TEST_F(QueueTest, an_indirect_table_is_one_chain) {
  Queue queue = start({.indirect = true});
  ram.write_value({0x30000}, Descriptor{.address = 0x20000, .length = 16, .flags = kDescNext, .next = 1});
  ram.write_value({0x30010}, Descriptor{.address = 0x21000, .length = 32, .flags = kDescWrite, .next = 0});
  ring.set_descriptor(3, {.address = 0x30000, .length = 32, .flags = kDescIndirect, .next = 0});
  ring.offer_head(3);
  ASSERT_TRUE(queue.pop(chain).value());
  EXPECT_EQ(chain.head(), 3);
  EXPECT_EQ(chain.readable_bytes(), 16u);
  EXPECT_EQ(chain.writable_bytes(), 32u);
}

struct Hostile {
  const char* name;
  std::vector<Descriptor> table;     // descriptors 0...
  std::vector<Descriptor> indirect;  // at 0x30000
};

TEST_F(QueueTest, a_chain_that_breaks_the_rules_breaks_the_ring) {
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

TEST_F(QueueTest, an_indirect_table_that_was_not_negotiated_breaks_the_ring) {
  ring.set_descriptor(0, {.address = 0x30000, .length = 16, .flags = kDescIndirect, .next = 0});
  ring.offer_head(0);
  EXPECT_FALSE(start().pop(chain));
}

TEST_F(QueueTest, a_head_beyond_the_table_breaks_the_ring) {
  ring.offer_head(kSize);
  EXPECT_FALSE(start().pop(chain));
}

TEST_F(QueueTest, an_available_index_that_jumps_breaks_the_ring) {
  Queue queue = start();
  ring.chain({{0x20000, 10, true}});
  ring.set_avail(kSize + 1);
  EXPECT_FALSE(queue.pop(chain));
  ring.set_avail(0xffff);
  EXPECT_FALSE(queue.pop(chain)) << "backwards";
  ring.set_avail(kSize);
  EXPECT_TRUE(queue.pop(chain).value()) << "a full ring is fine";
}

TEST_F(QueueTest, without_events_flags_decide) {
  Queue queue = start();
  queue.disable_kicks();
  EXPECT_EQ(ring.used_flags(), kUsedNoNotify);
  EXPECT_FALSE(queue.enable_kicks().value());
  EXPECT_EQ(ring.used_flags(), 0);
  ring.offer({{0x20000, 10, true}});
  EXPECT_TRUE(queue.enable_kicks().value()) << "offered in between";
  ASSERT_TRUE(queue.pop(chain).value());
  queue.push_used(chain, 0);
  ring.set_avail_flags(kAvailNoInterrupt);
  EXPECT_FALSE(queue.publish_used());
}

TEST_F(QueueTest, enabling_kicks_asks_for_the_first_chain_not_yet_seen) {
  Queue queue = start({.event_idx = true});
  ring.offer({{0x20000, 10, true}});
  EXPECT_TRUE(queue.enable_kicks().value());
  ASSERT_TRUE(queue.pop(chain).value());
  queue.unpop(1);
  EXPECT_FALSE(queue.enable_kicks().value()) << "the chain given back was seen: a kick is due for the next one";
  EXPECT_EQ(ring.avail_event(), 1);
}

// virtio 1.2, 2.7.10: the interrupt is due exactly when idx passes used_event.
TEST_F(QueueTest, an_interrupt_is_due_when_the_used_index_passes_the_event) {
  struct Case {
    uint16_t before, count, event;
    bool due;
  };
  const Case cases[] = {
      {0, 1, 0, true},       {0, 1, 1, false},      {0, 3, 2, true},      {0, 3, 3, false},
      {5, 1, 4, false},      {5, 2, 6, true},       {5, 1, 5, true},      {0xffff, 1, 0xffff, true},
      {0xffff, 2, 0, true},  {0xffff, 1, 0, false}, {0xfffe, 4, 1, true}, {0xfffe, 4, 2, false},
      {0, 1, 0xffff, false}, {10, 8, 17, true},     {10, 8, 18, false},
  };
  for (const Case& each : cases) {
    RingBuilder fresh(ram, kRing, kSize);
    fresh.set_avail(each.before);
    fresh.set_used_event(each.event);
    Queue queue = start({.event_idx = true}, {.avail = each.before, .used = each.before});
    for (int i = 0; i < each.count; ++i) {
      fresh.offer({{0x20000, 10, true}});
      ASSERT_TRUE(queue.pop(chain).value());
      queue.push_used(chain, 0);
    }
    EXPECT_EQ(queue.publish_used(), each.due) << each.before << "+" << each.count << " event " << each.event;
  }
}

// Whatever lies in the rings: every call ends, no address outside RAM comes out, nothing grows.
TEST_F(QueueTest, garbage_rings_end_in_chains_or_a_broken_ring) {
  std::mt19937_64 random(20240229);
  auto any = [&](uint64_t below) { return random() % below; };
  int broken_rings = 0;
  int good_chains = 0;
  for (int round = 0; round < 20'000; ++round) {
    RingBuilder fresh(ram, kRing, kSize);
    auto descriptor = [&] {
      uint64_t address = any(4) == 0 ? random() : any(2) == 0 ? 0x30000 + any(256) : any(kRam);
      return Descriptor{.address = address,
                        .length = static_cast<uint32_t>(any(3) == 0   ? random()
                                                        : any(3) == 0 ? 16 * any(20)
                                                                      : any(4096)),
                        .flags = static_cast<uint16_t>(any(8)),
                        .next = static_cast<uint16_t>(any(kSize + 1))};
    };
    for (uint16_t i = 0; i < kSize; ++i) fresh.set_descriptor(i, descriptor());
    for (uint64_t i = 0; i < 16; ++i) ram.write_value({0x30000 + 16 * i}, descriptor());
    for (uint64_t i = 0; i < kSize; ++i) {
      ram.write_value(fresh.avail_at() + 4 + 2 * i, static_cast<uint16_t>(any(kSize + 1)));
    }
    fresh.set_avail(static_cast<uint16_t>(any(kSize + 2)));
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
        queue.unpop(1);
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
