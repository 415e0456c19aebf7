#include "device/virtio_net/testing/net_fixture.h"

#include <atomic>
#include <random>

namespace pagurus::device::testing {
namespace {

struct LifecycleTest : LayoutTest {};

INSTANTIATE_TEST_SUITE_P(Layouts, LifecycleTest, ::testing::Values(Layout::kSplit, Layout::kPacked),
                         ::testing::PrintToStringParamName());

TEST_P(LifecycleTest, a_frame_longer_than_the_room_waits_and_moves_with_the_state) {
  power_on();
  start_driver(kNetMrgRxbuf);
  uint64_t first = offer_rx(1000);
  kick(0);
  Bytes in = frame_of(1800, 5);
  inject(in);
  std::this_thread::sleep_for(20ms);
  EXPECT_EQ(rx.used(), 0);
  vmm->freeze();
  auto states = vmm->save();
  auto old = std::move(vmm);
  vmm = std::make_unique<Vmm>(ram, wire.get(), true, nic());
  ASSERT_TRUE(vmm->load(states));
  vmm->net->thaw();
  uint64_t second = offer_rx(1000);
  kick(0);
  ASSERT_TRUE(eventually([&] { return rx.used() == 2; }));
  Bytes got = guest_bytes(first + kNetHeaderBytes, 1000 - kNetHeaderBytes);
  Bytes end = guest_bytes(second, 1800 + kNetHeaderBytes - 1000);
  got.insert(got.end(), end.begin(), end.end());
  EXPECT_EQ(got, in);
  EXPECT_EQ(vmm->net->counters().rx_dropped, 0u);
}

TEST_P(LifecycleTest, a_frozen_device_touches_nothing_and_a_thawed_one_looks_at_everything) {
  power_on();
  start_driver(0);
  offer_rx(2048);
  kick(0);
  vmm->freeze();
  inject(frame_of(60, 1));
  send_tx(frame_of(60, 2));
  std::this_thread::sleep_for(20ms);
  EXPECT_EQ(rx.used(), 0);
  EXPECT_EQ(tx.used(), 0);
  vmm->net->thaw();
  EXPECT_TRUE(eventually([&] { return rx.used() == 1 && tx.used() == 1; }));
}

TEST_P(LifecycleTest, traffic_goes_on_in_another_process) {
  power_on();
  start_driver(kNetMrgRxbuf | kNetGuestCsum | virtio::kFeatureEventIdx);
  EXPECT_EQ(vmm->backend.set_offloads_calls, 1);
  EXPECT_TRUE(vmm->backend.agreed.csum);
  for (int i = 0; i < 10; ++i) offer_rx(2048);
  kick(0);
  inject(frame_of(60, 1));
  ASSERT_TRUE(eventually([&] { return rx.used() == 1; }));

  auto next = std::make_unique<Vmm>(ram, wire.get(), true, nic());
  ASSERT_TRUE(next->load(vmm->save())) << "the rehearsal, while the guest runs";
  int doorbell_changes = next->doorbells.changes;
  EXPECT_EQ(doorbell_changes, 3);

  vmm->freeze();
  // The driver kicked, and the eventfd that counted it stays behind.
  tx.offer({{kTxBuffers, kNetHeaderBytes}, {kTxBuffers + kNetHeaderBytes, 60}});
  ram.write({kTxBuffers + kNetHeaderBytes}, frame_of(60, 3));
  inject(frame_of(60, 2));
  auto loaded = next->load(vmm->save());
  ASSERT_TRUE(loaded) << loaded.error().message();
  EXPECT_EQ(next->doorbells.changes, doorbell_changes) << "the second load re-registers nothing";
  EXPECT_EQ(next->backend.set_offloads_calls, 0) << "the back end is taken as it is";
  vmm = std::move(next);
  vmm->net->thaw();
  EXPECT_EQ(body(wire_frame()), frame_of(60, 3));
  ASSERT_TRUE(eventually([&] { return rx.used() == 2; }));
  EXPECT_EQ(guest_bytes(kRxBuffers + 0x2000 + kNetHeaderBytes, 60), frame_of(60, 2));
}

// Some buffers in the receive ring are used, some not, and one frame in the transmit ring was not seen yet.
TEST_P(LifecycleTest, hand_overs_find_half_used_rings_wherever_they_begin_again) {
  power_on();
  start_driver(kNetMrgRxbuf | virtio::kFeatureEventIdx | virtio::kFeatureIndirectDesc);
  for (int i = 0; i < 40; ++i) offer_rx(256);
  kick(0);
  uint16_t received = 0;
  for (int round = 0; round < 40; ++round) {
    uint8_t seed = static_cast<uint8_t>(3 * round);
    // Three buffers, and one.
    inject(frame_of(600, seed));
    inject(frame_of(60, seed));
    received += 4;
    ASSERT_TRUE(eventually([&] { return rx.used() == received; })) << round;
    send_tx(frame_of(90, seed));
    ASSERT_EQ(body(wire_frame()), frame_of(90, seed)) << round;
    vmm->freeze();
    tx.offer({{kTxBuffers, kNetHeaderBytes}, {kTxBuffers + kNetHeaderBytes, 30}, {kTxBuffers + 0x800, 30}});
    auto next = std::make_unique<Vmm>(ram, wire.get(), true, nic());
    ASSERT_TRUE(next->load(vmm->save()));
    vmm = std::move(next);
    vmm->net->thaw();
    ASSERT_EQ(body(wire_frame()).size(), 60u) << round;
    ASSERT_TRUE(eventually([&] { return tx.used() == tx.avail(); })) << round;
    auto used = rx.take_used();
    ASSERT_EQ(used.size(), 4u);
    EXPECT_EQ(used[2].length, kNetHeaderBytes + 600 - 512);
    EXPECT_EQ(used[3].length, kNetHeaderBytes + 60);
    (void)tx.take_used();
    for (int i = 0; i < 4; ++i) offer_rx(256);
    kick(0);
    rx.interrupt_at(0);
  }
  EXPECT_EQ(vmm->net->counters().rx_dropped, 0u);
}

TEST_P(LifecycleTest, another_back_end_learns_what_the_driver_agreed_to_receive) {
  power_on();
  start_driver(kNetGuestCsum | kNetGuestTso4);
  vmm->freeze();
  Vmm next(ram, wire.get(), true, nic());
  next.net->renew_backend();
  EXPECT_EQ(next.backend.set_offloads_calls, 0) << "no driver yet";
  ASSERT_TRUE(next.load(vmm->save()));
  next.net->renew_backend();
  EXPECT_EQ(next.backend.agreed, (net::Offloads{.csum = true, .tso4 = true}));
}

TEST_P(LifecycleTest, a_less_able_back_end_is_refused) {
  power_on();
  start_driver(kNetGuestCsum | kNetGuestTso4);
  vmm->freeze();
  Vmm next(ram, wire.get(), false, nic());
  auto loaded = next.load(vmm->save());
  ASSERT_FALSE(loaded);
  EXPECT_NE(loaded.error().message().find("back end"), std::string::npos);
}

TEST_P(LifecycleTest, a_broken_ring_needs_a_reset_and_works_after_it) {
  power_on();
  start_driver(0);
  tx.offer({{0xffff'0000'0000, 100}});
  kick(1);
  ASSERT_TRUE(eventually([&] { return (common(0x14, 1) & virtio::kStatusNeedsReset) != 0; }));
  EXPECT_TRUE(eventually([&] { return vmm->msi.count(kConfigMessage) == 1; })) << "a configuration interrupt";
  EXPECT_EQ(vmm->net->counters().guest_faults, 1u);
  offer_rx(2048);
  kick(0);
  inject(frame_of(60, 1));
  std::this_thread::sleep_for(20ms);
  EXPECT_EQ(rx.used(), 0) << "the other queue stands still too";

  vmm->freeze();
  Vmm next(ram, wire.get(), true, nic());
  ASSERT_TRUE(next.load(vmm->save())) << "a broken device moves as it is";
  EXPECT_EQ(next.net->device_status() & virtio::kStatusNeedsReset, virtio::kStatusNeedsReset);
  vmm->net->thaw();

  restart_rings();
  start_driver(0);
  offer_rx(2048);
  kick(0);
  EXPECT_TRUE(eventually([&] { return rx.used() == 1; }));
}

TEST_P(LifecycleTest, a_reset_under_traffic_stops_the_queues_before_it_completes) {
  power_on();
  for (int round = 0; round < 50; ++round) {
    restart_rings();
    start_driver(virtio::kFeatureEventIdx | kNetMrgRxbuf);
    for (int i = 0; i < 32; ++i) offer_rx(2048);
    kick(0);
    for (int i = 0; i < 4; ++i) inject(frame_of(60, 1));
    send_tx(frame_of(60, 2));
    set_common(0x14, 1, 0);
    ASSERT_EQ(common(0x14, 1), 0u);
    uint16_t rx_used = rx.used();
    uint16_t tx_used = tx.used();
    std::this_thread::sleep_for(100us);
    ASSERT_EQ(rx.used(), rx_used);
    ASSERT_EQ(tx.used(), tx_used);
    drain_wire();
  }
}

TEST_P(LifecycleTest, freezing_and_resetting_at_once_does_not_deadlock) {
  power_on();
  std::atomic<bool> stop = false;
  std::thread control_thread([&] {
    while (!stop) {
      vmm->freeze();
      (void)vmm->save();
      vmm->net->thaw();
    }
  });
  for (int round = 0; round < 200; ++round) {
    restart_rings();
    start_driver(0);
    send_tx(frame_of(60, 2));
    set_common(0x14, 1, 0);
  }
  stop = true;
  control_thread.join();
}

TEST_P(LifecycleTest, system_reset_brings_back_the_power_on_state) {
  power_on();
  start_driver(0);
  vmm->freeze();
  vmm->net->reset();
  EXPECT_TRUE(vmm->doorbells.attached.empty());
  EXPECT_EQ(vmm->net->device_status(), 0);
  vmm->net->thaw();
  vmm->net->function().config_write(pci::kCommand, 2, pci::kCommandMemory);
  restart_rings();
  start_driver(0);
  send_tx(frame_of(60, 2));
  EXPECT_EQ(body(wire_frame()), frame_of(60, 2));
}

// Whatever the driver writes into its rings, under traffic: no crash, no hang, and a reset helps.
TEST_P(LifecycleTest, garbage_rings_never_harm_the_device) {
  power_on();
  std::mt19937_64 random(7);
  auto any = [&](uint64_t below) { return random() % below; };
  const uint64_t optional = kNetMrgRxbuf | kNetCtrlVq | virtio::kFeatureEventIdx | virtio::kFeatureIndirectDesc;
  for (int round = 0; round < 400; ++round) {
    restart_rings();
    start_driver(random() & optional);
    auto descriptor = [&] {
      uint64_t address = any(8) == 0 ? random() : 0x100'0000 + any(0x10'0000);
      return virtio::Descriptor{.address = address,
                                .length = static_cast<uint32_t>(any(8) == 0 ? random() : 16 * any(200)),
                                .flags = static_cast<uint16_t>(any(8)),
                                .next = static_cast<uint16_t>(any(17))};
    };
    for (DriverRing* ring : {&rx, &tx, &control}) ring->offer_garbage(descriptor, any);
    for (unsigned i = 0; i < 3; ++i) {
      kick(i);
      // A device that stands still leaves the network full.
      Bytes frame = frame_of(kNetHeaderBytes + 1 + any(2000), 1);
      (void)::send(peer.get(), frame.data(), frame.size(), 0);
    }
    drain_wire();
    set_common(0x14, 1, 0);
  }
  restart_rings();
  start_driver(0);
  send_tx(frame_of(77, 2));
  EXPECT_TRUE(eventually([&] {
    Bytes frame = wire_frame();
    return frame.size() == kNetHeaderBytes + 77 && body(frame) == frame_of(77, 2);
  }));
}

}  // namespace
}  // namespace pagurus::device::testing
