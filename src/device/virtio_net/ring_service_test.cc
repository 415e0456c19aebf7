// A back end that serves the rings itself: what it is told and when, and what comes of what it signals.
#include "device/virtio_net/ring_service.h"

#include <algorithm>

#include "device/virtio_net/testing/net_fixture.h"

namespace pagurus::device::testing {
namespace {

// Says how far it has come when it is paused, and notes what it was told.
class FakeServer final : public net::RingServer {
 public:
  uint64_t ring_features() const override { return ~virtio::kFeatureEventIdx; }
  Result<void> start(std::span<const net::Ring> given, uint64_t driver_features, net::RingOrigin from) override {
    EXPECT_FALSE(serving) << "rings change while they are not served";
    rings.assign(given.begin(), given.end());
    features = driver_features;
    origin = from;
    return {};
  }
  Result<void> resume() override {
    serving = true;
    ++resumed;
    return broken ? fail("it does not work") : Result<void>();
  }
  void pause(net::PauseReason) override {
    serving = false;
    for (net::Ring& ring : rings) ring.position = {.avail = 7, .used = used};
  }
  void stop() override { rings.clear(); }
  std::optional<net::RingPosition> position(unsigned queue) const override {
    ++asked;
    auto ring = std::ranges::find(rings, queue, &net::Ring::queue);
    return serving || ring == rings.end() ? std::nullopt : std::optional(ring->position);
  }
  Result<void> can_log() const override { return {}; }
  Result<void> start_log() override {
    EXPECT_FALSE(serving);
    logs = true;
    return {};
  }
  void collect_log() override { ++collected; }
  void stop_log() override {
    EXPECT_FALSE(serving);
    logs = false;
  }
  UniqueFd take_kick(unsigned) override { return {}; }
  UniqueFd take_call(unsigned) override { return {}; }

  std::vector<net::Ring> rings;
  uint64_t features = 0;
  net::RingOrigin origin = net::RingOrigin::kDriver;
  std::atomic<bool> serving = false;
  int resumed = 0;
  uint16_t used = 5;
  bool logs = false;
  int collected = 0;
  bool broken = false;
  mutable std::atomic<int> asked = 0;
};

struct RingServiceTest : VirtioNetTest {
  RingServiceTest() { config.mq = config.rss = config.hash = config.notf_coal = true; }
  std::unique_ptr<Vmm> make() {
    return std::make_unique<Vmm>(ram, std::vector{wire.get(), wire.get()}, true, config, &server);
  }
  void start(uint64_t features) {
    vmm = make();
    vmm->net->thaw();
    vmm->net->function().config_write(pci::kCommand, 2, pci::kCommandMemory | pci::kCommandBusMaster);
    start_driver(features);
  }
  bool needs_reset() { return (common(0x14, 1) & virtio::kStatusNeedsReset) != 0; }

  FakeServer server;
  VirtioNetConfig config = nic();
};

TEST_F(RingServiceTest, what_the_device_itself_would_do_to_the_rings_is_not_offered) {
  vmm = make();
  vmm->net->function().config_write(pci::kCommand, 2, pci::kCommandMemory);
  EXPECT_EQ(offered() & (kNetRss | kNetHashReport | kNetNotfCoal), 0u);
}

TEST_F(RingServiceTest, is_given_the_drivers_rings_and_serves_them) {
  start(kNetMrgRxbuf);
  ASSERT_EQ(server.rings.size(), 2u);
  EXPECT_TRUE(server.serving);
  EXPECT_EQ(server.features & kNetMrgRxbuf, kNetMrgRxbuf);
  for (unsigned queue : {0u, 1u}) {
    virtio::QueueConfig ring = (queue == 0 ? rx : tx).config();
    EXPECT_EQ(server.rings[queue].queue, queue);
    EXPECT_EQ(server.rings[queue].size, ring.size);
    EXPECT_EQ(server.rings[queue].descriptors, ring.descriptors);
    EXPECT_EQ(server.rings[queue].position, net::RingPosition{});
  }
  // Nobody else touches them.
  send_tx(frame_of(60, 1));
  std::this_thread::sleep_for(20ms);
  EXPECT_EQ(tx.used(), 0);
  set_common(0x14, 1, 0);
  EXPECT_FALSE(server.serving);
  EXPECT_TRUE(server.rings.empty());
}

TEST_F(RingServiceTest, what_it_cannot_serve_is_not_offered) {
  start(0);
  EXPECT_EQ(offered() & virtio::kFeatureEventIdx, 0u);
  EXPECT_NE(offered() & virtio::kFeatureIndirectDesc, 0u);
}

TEST_F(RingServiceTest, its_signals_are_interrupts_and_are_counted) {
  start(0);
  auto interrupts = [&] { return vmm->net->pair_counters()[0].interrupts; };
  for (uint64_t i = 1; i <= 3; ++i) {
    signal_eventfd(server.rings[i % 2].call_fd);
    EXPECT_TRUE(eventually([&] { return interrupts() == i; }));
  }
  EXPECT_EQ(vmm->net->counters().interrupts, 3u);
}

TEST_F(RingServiceTest, a_ring_that_it_gives_up_needs_a_reset) {
  start(0);
  signal_eventfd(server.rings[0].error_fd);
  EXPECT_TRUE(eventually([&] { return needs_reset() && !server.serving; }));
  // Also after a pause.
  vmm->freeze();
  vmm->net->thaw();
  EXPECT_FALSE(server.serving);
  // What was signalled before the reset is no fault of the next driver.
  vmm->freeze();
  signal_eventfd(server.rings[0].error_fd);
  set_common(0x14, 1, 0);
  vmm->net->thaw();
  restart_rings();
  start_driver(0);
  std::this_thread::sleep_for(20ms);
  EXPECT_TRUE(server.serving);
  EXPECT_FALSE(needs_reset());
}

TEST_F(RingServiceTest, a_ring_that_it_gives_up_in_the_last_moment_is_known_to_the_next_process) {
  start(0);
  vmm->net->request_freeze();
  signal_eventfd(server.rings[0].error_fd);
  vmm->net->wait_frozen(net::PauseReason::kHandover);
  EXPECT_TRUE(needs_reset());
}

TEST_F(RingServiceTest, one_that_fails_to_serve_needs_a_reset) {
  start(0);
  vmm->net->set_link(false);
  server.broken = true;
  vmm->net->set_link(true);
  EXPECT_TRUE(needs_reset());
}

TEST_F(RingServiceTest, rests_while_the_link_is_down_and_while_the_machine_is_paused) {
  start(0);
  vmm->net->set_link(false);
  EXPECT_FALSE(server.serving);
  vmm->freeze();
  vmm->net->thaw();
  EXPECT_FALSE(server.serving);
  vmm->net->set_link(true);
  EXPECT_TRUE(server.serving);
  vmm->freeze();
  EXPECT_FALSE(server.serving);
  vmm->net->thaw();
  EXPECT_TRUE(server.serving);
}

TEST_F(RingServiceTest, rests_while_a_log_of_what_it_writes_begins_and_ends) {
  start(0);
  ASSERT_TRUE(vmm->net->start_dirty_log());
  EXPECT_TRUE(server.logs);
  EXPECT_TRUE(server.serving);
  vmm->net->collect_dirty();
  EXPECT_EQ(server.collected, 1);
  vmm->freeze();
  vmm->net->stop_dirty_log();
  EXPECT_FALSE(server.logs);
  EXPECT_FALSE(server.serving) << "the machine is paused";
  vmm->net->thaw();
  EXPECT_TRUE(server.serving);
}

TEST_F(RingServiceTest, pauses_while_the_number_of_pairs_changes) {
  vmm = make();
  vmm->net->thaw();
  vmm->net->function().config_write(pci::kCommand, 2, pci::kCommandMemory | pci::kCommandBusMaster);
  ASSERT_TRUE(negotiate(kNetCtrlVq | kNetMq | virtio::kFeatureVersion1));
  enable_msix();
  RingBuilder rx1{ram, {0x40000}, 64}, tx1{ram, {0x50000}, 64};
  unsigned queue = 0;
  for (DriverRing* ring : std::initializer_list<DriverRing*>{&rx, &tx, &rx1, &tx1, &control})
    set_queue(queue++, ring->config());
  set_common(0x14, 1, 0xf);
  ASSERT_EQ(server.rings.size(), 4u);
  int before = server.resumed;
  EXPECT_EQ(command(4, 0, {2, 0}, 4), 0);
  EXPECT_EQ(vmm->backend.active_pairs, 2u);
  EXPECT_TRUE(eventually([&] { return server.serving.load(); }));
  EXPECT_EQ(server.resumed, before + 1);
}

TEST_F(RingServiceTest, is_not_asked_how_far_it_has_come_while_the_driver_may_change_what_it_serves) {
  start(0);
  (void)vmm->save();
  EXPECT_EQ(server.asked, 0);
  vmm->freeze();
  (void)vmm->save();
  EXPECT_GT(server.asked, 0);
}

TEST_F(RingServiceTest, a_driver_that_overwrites_how_far_its_ring_has_come_does_not_keep_itself_from_moving) {
  start(0);
  server.used = 5000;
  vmm->freeze();
  EXPECT_TRUE(needs_reset());
  FakeServer other;
  auto next = std::make_unique<Vmm>(ram, std::vector{wire.get(), wire.get()}, true, config, &other);
  auto loaded = next->load(vmm->save());
  ASSERT_TRUE(loaded) << loaded.error().message();
  next->net->thaw();
  EXPECT_FALSE(other.serving);
  vmm->net->thaw();
  EXPECT_FALSE(server.serving);
  server.used = 5;
  restart_rings();
  start_driver(0);
  EXPECT_TRUE(server.serving);
}

TEST_F(RingServiceTest, one_that_went_on_in_a_hand_over_is_stopped_by_a_pause_and_by_a_link_that_is_down) {
  start(0);
  vmm->freeze();
  auto state = vmm->save();
  for (bool link_down : {false, true}) {
    FakeServer other;
    auto next = std::make_unique<Vmm>(ram, std::vector{wire.get(), wire.get()}, true, config, &other);
    ASSERT_TRUE(next->load(state));
    other.serving = true;
    if (link_down) {
      next->net->set_link(false);
      next->net->thaw();
    } else {
      next->freeze();
    }
    EXPECT_FALSE(other.serving);
  }
}

TEST_F(RingServiceTest, another_process_goes_on_where_it_paused) {
  start(0);
  vmm->freeze();
  auto state = vmm->save();
  FakeServer other;
  auto next = std::make_unique<Vmm>(ram, std::vector{wire.get(), wire.get()}, true, config, &other);
  ASSERT_TRUE(next->load(state));
  ASSERT_EQ(other.rings.size(), 2u);
  EXPECT_EQ(other.origin, net::RingOrigin::kRestored);
  EXPECT_EQ(other.rings[0].position, (net::RingPosition{.avail = 7, .used = 5}));
  EXPECT_FALSE(other.serving);
  next->net->thaw();
  EXPECT_TRUE(other.serving);
}

}  // namespace
}  // namespace pagurus::device::testing
