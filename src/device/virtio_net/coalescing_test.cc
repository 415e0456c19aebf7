// Interrupts that wait: for packets, for time, and what becomes of them when the device is frozen, handed over
// and reset.  "An hour" is a time that no test waits for.
#include "device/virtio_net/coalescing.h"

#include <poll.h>

#include "device/virtio_net/testing/net_fixture.h"

namespace pagurus::device::testing {
namespace {

constexpr uint32_t kHour = 3'600'000'000;

Bytes coalescing_data(uint32_t max_packets, uint32_t max_usecs) {
  Bytes data(8);
  store_le<uint32_t>(data.data(), max_packets);
  store_le<uint32_t>(data.data() + 4, max_usecs);
  return data;
}

TEST(CoalescingLimits, are_taken_whole_or_not_at_all) {
  Bytes data = coalescing_data(7, kHour);
  data.resize(20);
  for (size_t size = 0; size <= data.size(); ++size) {
    auto limits = CoalescingLimits::parse(std::span(data).first(size));
    ASSERT_EQ(limits.has_value(), size == 8) << size;
    EXPECT_EQ(limits.value_or(CoalescingLimits{}).max_usecs, size == 8 ? kHour : 0u);
    EXPECT_EQ(limits.value_or(CoalescingLimits{}).max_packets, size == 8 ? 7u : 0u);
  }
}

struct CoalescingTest : ::testing::Test {
  bool due(uint64_t more, bool wanted = true) { return coalescing->due(limits, wanted, packets += more); }
  bool timer_runs_out() const {
    pollfd timer{.fd = coalescing->timer_fd(), .events = POLLIN, .revents = 0};
    return ::poll(&timer, 1, -1) == 1;
  }

  Result<Coalescing> coalescing = Coalescing::create();
  CoalescingLimits limits{.max_packets = 5, .max_usecs = kHour};
  uint64_t packets = 0;
};

TEST_F(CoalescingTest, without_time_nothing_waits) {
  for (uint32_t most : {0u, 1u, 100u}) {
    limits = {.max_packets = most, .max_usecs = 0};
    EXPECT_FALSE(due(1, false));
    EXPECT_TRUE(due(1));
    EXPECT_FALSE(coalescing->take());
  }
}

TEST_F(CoalescingTest, the_packets_of_an_interrupt_that_waits_are_counted) {
  EXPECT_FALSE(due(100, false)) << "not wanted: what came before does not count";
  EXPECT_FALSE(due(2));
  EXPECT_FALSE(due(2, false));
  EXPECT_TRUE(due(1, false)) << "with events the driver asks for the first one only";
  EXPECT_FALSE(due(1, false)) << "nothing waits";
  EXPECT_FALSE(due(4));
  EXPECT_TRUE(due(1));
  EXPECT_TRUE(due(5)) << "at once";
  EXPECT_TRUE(due(64));
}

TEST_F(CoalescingTest, packets_are_no_limit_if_the_driver_sets_none) {
  limits.max_packets = 0;
  EXPECT_FALSE(due(1'000'000));
  EXPECT_FALSE(due(1'000'000));
  EXPECT_TRUE(coalescing->take());
  EXPECT_FALSE(coalescing->take());
}

TEST_F(CoalescingTest, time_runs_out_once) {
  limits.max_usecs = 1;
  EXPECT_FALSE(due(1));
  ASSERT_TRUE(timer_runs_out());
  EXPECT_TRUE(coalescing->expired());
  EXPECT_FALSE(coalescing->expired());
}

TEST_F(CoalescingTest, a_timer_of_an_earlier_interrupt_sends_nothing) {
  limits.max_usecs = 1;
  EXPECT_FALSE(due(4));
  EXPECT_TRUE(due(1));
  ASSERT_TRUE(timer_runs_out());
  EXPECT_FALSE(coalescing->expired()) << "sent already";
  EXPECT_FALSE(due(4));
  ASSERT_TRUE(timer_runs_out());
  EXPECT_TRUE(due(1));
  limits.max_usecs = kHour;
  EXPECT_FALSE(due(1));
  EXPECT_FALSE(coalescing->expired()) << "the next one has its own time";
  EXPECT_TRUE(coalescing->take());
}

TEST_F(CoalescingTest, a_restart_forgets) {
  EXPECT_FALSE(due(4));
  coalescing->restart(packets = 1000);
  EXPECT_FALSE(coalescing->take());
  EXPECT_FALSE(due(4)) << "counted from there";
  EXPECT_TRUE(due(1));
}

// The device.
struct NetCoalescingTest : LayoutTest {
  static constexpr uint64_t kFeatures = kNetCtrlVq | kNetNotfCoal;

  VirtioNetConfig nic() const {
    VirtioNetConfig config = VirtioNetTest::nic();
    config.notf_coal = true;
    return config;
  }
  void start(uint64_t features = kFeatures) {
    power_on(nic());
    start_driver(features);
    for (int i = 0; i < 40; ++i) offer_rx(2048);
    kick(0);
  }
  void set_rx(uint32_t max_packets, uint32_t max_usecs) {
    EXPECT_EQ(command(6, 1, coalescing_data(max_packets, max_usecs)), 0);
  }
  void set_tx(uint32_t max_packets, uint32_t max_usecs) {
    EXPECT_EQ(command(6, 0, coalescing_data(max_packets, max_usecs)), 0);
  }
  size_t interrupts(unsigned queue) const { return vmm->msi.count(kConfigMessage + 1 + queue); }
  // All of them are in the ring.
  void receive(unsigned frames) {
    auto wanted = static_cast<uint16_t>(rx.used() + frames);
    for (unsigned i = 0; i < frames; ++i) inject(frame_of(60, 1));
    ASSERT_TRUE(eventually([&] { return rx.used() == wanted; }));
  }
  void transmit(unsigned frames) {
    for (unsigned i = 0; i < frames; ++i) send_tx(frame_of(60, 1));
    ASSERT_TRUE(eventually([&] { return tx.used() == tx.avail(); }));
  }
  // What has been done to the queues is done to the end.
  void settle() {
    vmm->net->set_link(false);
    vmm->net->set_link(true);
  }
  void hand_over() {
    vmm->freeze();
    auto next = std::make_unique<Vmm>(ram, wire.get(), true, nic());
    auto loaded = next->load(vmm->save());
    ASSERT_TRUE(loaded) << loaded.error().message();
    EXPECT_EQ(next->save(), vmm->save()) << "nothing is lost on the way";
    vmm = std::move(next);
    vmm->net->thaw();
  }
};

INSTANTIATE_TEST_SUITE_P(Layouts, NetCoalescingTest, ::testing::Values(Layout::kSplit, Layout::kPacked),
                         ::testing::PrintToStringParamName());

TEST_P(NetCoalescingTest, is_offered_where_the_option_says_so) {
  power_on();
  EXPECT_EQ(offered() & kNetNotfCoal, 0u);
  power_on(nic());
  EXPECT_NE(offered() & kNetNotfCoal, 0u);
  EXPECT_FALSE(negotiate(kNetNotfCoal | basics())) << "there is no way to set it without a control queue";
}

TEST_P(NetCoalescingTest, interrupts_come_at_once_until_the_driver_sets_limits) {
  start();
  for (size_t i = 1; i <= 3; ++i) {
    receive(1);
    EXPECT_TRUE(eventually([&] { return interrupts(0) == i; }));
    transmit(1);
    EXPECT_TRUE(eventually([&] { return interrupts(1) == i; }));
  }
}

TEST_P(NetCoalescingTest, each_direction_has_its_own_limit_of_packets) {
  start();
  set_rx(3, kHour);
  set_tx(4, kHour);
  receive(2);
  transmit(3);
  settle();
  EXPECT_EQ(interrupts(0), 0u);
  EXPECT_EQ(interrupts(1), 0u);
  receive(1);
  EXPECT_TRUE(eventually([&] { return interrupts(0) == 1; }));
  EXPECT_EQ(interrupts(1), 0u);
  transmit(1);
  EXPECT_TRUE(eventually([&] { return interrupts(1) == 1; }));
  EXPECT_EQ(vmm->net->pair_counters()[0].interrupts, 2u) << "those that were sent";
}

TEST_P(NetCoalescingTest, frames_that_are_dropped_are_the_driver_s_packets_too) {
  start();
  set_tx(2, kHour);
  vmm->net->set_link(false);
  transmit(2);
  EXPECT_TRUE(eventually([&] { return interrupts(1) == 1; }));
}

TEST_P(NetCoalescingTest, with_events_the_packets_after_the_one_that_was_asked_for_count) {
  start(kFeatures | virtio::kFeatureEventIdx);
  set_rx(3, kHour);
  rx.interrupt_at(0);
  receive(1);
  receive(1);
  settle();
  EXPECT_EQ(interrupts(0), 0u);
  receive(1);
  EXPECT_TRUE(eventually([&] { return interrupts(0) == 1; }));
}

TEST_P(NetCoalescingTest, a_driver_that_forbids_interrupts_gets_none) {
  start();
  set_rx(2, 1000);
  rx.forbid_interrupts();
  receive(4);
  settle();
  std::this_thread::sleep_for(20ms);
  EXPECT_EQ(interrupts(0), 0u);
}

TEST_P(NetCoalescingTest, an_interrupt_waits_no_longer_than_it_may) {
  start();
  set_rx(1000, 1000);
  set_tx(0, 1000);
  for (size_t i = 1; i <= 3; ++i) {
    receive(1);
    transmit(1);
    EXPECT_TRUE(eventually([&] { return interrupts(0) == i && interrupts(1) == i; }));
  }
}

TEST_P(NetCoalescingTest, new_limits_let_nothing_wait_under_the_old_ones) {
  start();
  set_rx(100, kHour);
  receive(5);
  settle();
  EXPECT_EQ(interrupts(0), 0u);
  set_rx(8, kHour);
  EXPECT_EQ(interrupts(0), 1u);
  set_rx(0, 0);
  receive(1);
  EXPECT_TRUE(eventually([&] { return interrupts(0) == 2; }));
}

TEST_P(NetCoalescingTest, a_frozen_device_owes_no_interrupt_and_the_limits_move) {
  start();
  set_rx(3, kHour);
  set_tx(4, kHour);
  for (int round = 0; round < 3; ++round) {
    receive(2);
    transmit(3);
    settle();
    EXPECT_EQ(interrupts(0) + interrupts(1), 0u);
    vmm->freeze();
    EXPECT_EQ(interrupts(0), 1u);
    EXPECT_EQ(interrupts(1), 1u);
    EXPECT_EQ(vmm->net->pair_counters()[0].interrupts, 2u * static_cast<unsigned>(round + 1));
    hand_over();
  }
  receive(2);
  settle();
  EXPECT_EQ(interrupts(0), 0u) << "counted from where the device has come to";
  receive(1);
  EXPECT_TRUE(eventually([&] { return interrupts(0) == 1; }));
  vmm->freeze();
  vmm->net->thaw();
  EXPECT_EQ(interrupts(0), 1u) << "nothing is sent twice";
}

TEST_P(NetCoalescingTest, a_rehearsal_leaves_what_waits) {
  start();
  set_rx(3, kHour);
  receive(2);
  settle();
  Vmm next(ram, wire.get(), true, nic());
  ASSERT_TRUE(next.load(vmm->save()));
  EXPECT_EQ(interrupts(0), 0u);
  EXPECT_EQ(next.msi.count(kConfigMessage + 1), 0u);
}

TEST_P(NetCoalescingTest, a_reset_forgets_what_waits_and_the_limits) {
  start();
  set_rx(100, 20'000);
  receive(2);
  set_common(0x14, 1, 0);
  size_t before = interrupts(0);
  EXPECT_LE(before, 1u) << "a busy machine may have let the time pass";
  std::this_thread::sleep_for(50ms);
  vmm->freeze();
  EXPECT_EQ(interrupts(0), before);
  vmm->net->thaw();
  restart_rings();
  rx_offered = 0;
  start_driver(kFeatures);
  offer_rx(2048);
  kick(0);
  receive(1);
  EXPECT_TRUE(eventually([&] { return interrupts(0) == before + 1; })) << "at once";
}

TEST_P(NetCoalescingTest, limits_that_the_driver_could_not_set_are_not_loaded) {
  start();
  set_rx(3, kHour);
  vmm->freeze();
  auto with = vmm->save();
  restart_rings();
  start(kNetCtrlVq);
  EXPECT_EQ(command(6, 1, coalescing_data(3, kHour)), 1);
  vmm->freeze();
  auto states = vmm->save();
  states.back() = with.back();
  Vmm next(ram, wire.get(), true, nic());
  auto loaded = next.load(states);
  ASSERT_FALSE(loaded);
  EXPECT_NE(loaded.error().message().find("negotiated"), std::string::npos) << loaded.error().message();
}

}  // namespace
}  // namespace pagurus::device::testing
