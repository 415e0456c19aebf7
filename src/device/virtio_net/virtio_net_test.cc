#include "device/virtio_net/testing/net_fixture.h"

namespace pagurus::device::testing {
namespace {

struct RingsTest : LayoutTest {};

INSTANTIATE_TEST_SUITE_P(Layouts, RingsTest, ::testing::Values(Layout::kSplit, Layout::kPacked),
                         ::testing::PrintToStringParamName());

TEST_F(VirtioNetTest, registers_say_what_the_device_is) {
  VirtioNetConfig config = nic();
  config.host_mtu = 1400;
  power_on(config);
  EXPECT_EQ(vmm->net->function().config_read(0, 4), 0x1041'1af4u);
  EXPECT_EQ(common(0x12, 2), 3u) << "queues";
  set_common(0x16, 2, 0);
  EXPECT_EQ(common(0x18, 2), 256u);
  set_common(0x16, 2, 3);
  EXPECT_EQ(common(0x18, 2), 0u) << "no such queue";
  EXPECT_EQ(vmm->mmio.read(kBar + 0x2000, 4), 0x1200'5452u) << "MAC";
  EXPECT_EQ(vmm->mmio.read(kBar + 0x2006, 2), 1u) << "link up";
  EXPECT_EQ(vmm->mmio.read(kBar + 0x200a, 2), 1400u);
  uint64_t expected = virtio::kFeatureVersion1 | virtio::kFeatureEventIdx | virtio::kFeatureIndirectDesc | kNetMtu |
                      kNetMac | kNetStatus | kNetMrgRxbuf | kNetCtrlVq | kNetGuestAnnounce | kNetCsum | kNetGuestCsum |
                      kNetHostTso4 | kNetHostTso6 | kNetHostEcn | kNetGuestTso4 | kNetGuestTso6 | kNetGuestEcn;
  EXPECT_EQ(offered(), expected);
}

TEST_F(VirtioNetTest, a_back_end_without_header_offers_no_offload) {
  power_on(nic(), false);
  EXPECT_EQ(offered() & 0x3fff & ~(kNetMac | kNetMtu), 0u);
}

TEST_F(VirtioNetTest, large_datagrams_are_offered_and_agreed_on_where_the_back_end_can) {
  constexpr uint64_t kUso = kNetHostUso | kNetGuestUso4 | kNetGuestUso6;
  power_on();
  EXPECT_EQ(offered() & kUso, 0u);
  vmm->backend.able.uso4 = vmm->backend.able.uso6 = true;
  EXPECT_EQ(offered() & kUso, kUso);
  EXPECT_FALSE(negotiate(virtio::kFeatureVersion1 | kNetGuestUso4)) << "without checksum";
  EXPECT_FALSE(negotiate(virtio::kFeatureVersion1 | kNetHostUso)) << "without checksum";
  start_driver(kUso | kNetCsum | kNetGuestCsum);
  EXPECT_EQ(vmm->backend.agreed, (net::Offloads{.csum = true, .uso4 = true, .uso6 = true}));
  VirtioNetConfig older = nic();
  older.host_uso = older.guest_uso4 = older.guest_uso6 = false;
  power_on(older);
  vmm->backend.able.uso4 = vmm->backend.able.uso6 = true;
  EXPECT_EQ(offered() & kUso, 0u);
}

TEST_F(VirtioNetTest, features_that_make_no_sense_are_not_accepted) {
  power_on();
  EXPECT_FALSE(negotiate(kNetMac)) << "without VERSION_1";
  EXPECT_FALSE(negotiate(virtio::kFeatureVersion1 | uint64_t{1} << 34)) << "not offered";
  EXPECT_FALSE(negotiate(virtio::kFeatureVersion1 | kNetGuestTso4)) << "TSO without checksum";
  EXPECT_TRUE(negotiate(virtio::kFeatureVersion1 | kNetGuestCsum | kNetGuestTso4));
}

TEST_F(VirtioNetTest, a_vector_that_does_not_exist_reads_back_as_none) {
  power_on();
  set_common(0x10, 2, 3);
  EXPECT_EQ(common(0x10, 2), 3u);
  set_common(0x10, 2, 4);
  EXPECT_EQ(common(0x10, 2), 0xffffu);
}

TEST_F(VirtioNetTest, packed_rings_are_offered_when_asked_for) {
  power_on();
  EXPECT_EQ(offered() & virtio::kFeatureRingPacked, 0u);
  VirtioNetConfig config = nic();
  config.packed = true;
  power_on(config);
  EXPECT_EQ(offered() & virtio::kFeatureRingPacked, virtio::kFeatureRingPacked);
  start_driver(0);
  send_tx(frame_of(60, 2));
  EXPECT_EQ(body(wire_frame()), frame_of(60, 2)) << "but not forced upon a driver";
}

TEST_F(VirtioNetTest, registers_are_reachable_through_configuration_space) {
  power_on();
  auto& function = vmm->net->function();
  uint8_t at = static_cast<uint8_t>(function.config_read(0x34, 1));
  while (function.config_read(at, 1) != 9 || function.config_read(at + 3, 1) != 5) {
    at = static_cast<uint8_t>(function.config_read(at + 1, 1));
    ASSERT_NE(at, 0);
  }
  function.config_write(at + 8, 4, 0x2000);
  function.config_write(at + 12, 4, 4);
  EXPECT_EQ(function.config_read(at + 16, 4), 0x1200'5452u);
  function.config_write(at + 8, 4, 0x14);
  function.config_write(at + 12, 4, 1);
  function.config_write(at + 16, 4, 1);
  EXPECT_EQ(common(0x14, 1), 1u);
  function.config_write(at + 8, 4, 0x4000);
  EXPECT_EQ(function.config_read(at + 16, 4), 0xffff'ffffu) << "beyond the BAR";
}

TEST_F(VirtioNetTest, doorbells_follow_the_bar) {
  power_on();
  ASSERT_EQ(vmm->doorbells.attached.size(), 3u);
  EXPECT_EQ(vmm->doorbells.attached[1].first, kNotify + 4);
  vmm->net->function().config_write(pci::kCommand, 2, 0);
  EXPECT_TRUE(vmm->doorbells.attached.empty());
}

TEST_P(RingsTest, frames_go_both_ways) {
  power_on();
  start_driver(0);
  Bytes out = frame_of(100, 1);
  send_tx(out);
  EXPECT_EQ(body(wire_frame()), out);
  EXPECT_TRUE(eventually([&] { return vmm->msi.count(kConfigMessage + 2) == 1; }));
  EXPECT_EQ(tx.take_used().size(), 1u);

  uint64_t buffer = offer_rx(2048);
  kick(0);
  Bytes in = frame_of(200, 7);
  inject(in);
  ASSERT_TRUE(eventually([&] { return rx.used() == 1; }));
  EXPECT_TRUE(eventually([&] { return vmm->msi.count(kConfigMessage + 1) == 1; }));
  EXPECT_EQ(rx.take_used()[0].length, kNetHeaderBytes + 200);
  EXPECT_EQ(guest_bytes(buffer + 10, 2), (Bytes{1, 0})) << "num_buffers";
  EXPECT_EQ(guest_bytes(buffer + kNetHeaderBytes, 200), in);
  NetCounters counters = vmm->net->counters();
  EXPECT_EQ(counters.rx_packets, 1u);
  EXPECT_EQ(counters.rx_bytes, 200u);
  EXPECT_EQ(counters.tx_packets, 1u);
  EXPECT_EQ(counters.tx_bytes, 100u);
}

TEST_P(RingsTest, a_back_end_without_header_sees_bare_frames) {
  power_on(nic(), false);
  start_driver(kNetMrgRxbuf);
  Bytes out = frame_of(100, 1);
  send_tx(out);
  EXPECT_EQ(wire_frame(), out);
  uint64_t buffer = offer_rx(2048);
  ram.write({buffer}, Bytes(kNetHeaderBytes, 0xff));
  kick(0);
  inject(frame_of(60, 3), false);
  ASSERT_TRUE(eventually([&] { return rx.used() == 1; }));
  EXPECT_EQ(guest_bytes(buffer, kNetHeaderBytes), (Bytes{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0}));
  EXPECT_EQ(guest_bytes(buffer + kNetHeaderBytes, 60), frame_of(60, 3));
}

TEST_P(RingsTest, a_long_frame_takes_as_many_mergeable_buffers_as_it_needs) {
  power_on();
  start_driver(kNetMrgRxbuf | kNetGuestCsum | kNetGuestTso4);
  std::vector<uint64_t> buffers;
  for (int i = 0; i < 60; ++i) buffers.push_back(offer_rx(2048));
  kick(0);
  Bytes in = frame_of(5000, 9);
  inject(in);
  inject(frame_of(60, 1));
  ASSERT_TRUE(eventually([&] { return rx.used() == 4; }));
  auto used = rx.take_used();
  EXPECT_EQ(used[0].length, 2048u);
  EXPECT_EQ(used[1].length, 2048u);
  EXPECT_EQ(used[2].length, kNetHeaderBytes + 5000 - 4096);
  EXPECT_EQ(used[3].length, kNetHeaderBytes + 60);
  EXPECT_EQ(guest_bytes(buffers[0] + 10, 2), (Bytes{3, 0}));
  EXPECT_EQ(guest_bytes(buffers[3] + 10, 2), (Bytes{1, 0}));
  Bytes got = guest_bytes(buffers[0] + kNetHeaderBytes, 2048 - kNetHeaderBytes);
  Bytes middle = guest_bytes(buffers[1], 2048);
  Bytes end = guest_bytes(buffers[2], used[2].length);
  got.insert(got.end(), middle.begin(), middle.end());
  got.insert(got.end(), end.begin(), end.end());
  EXPECT_EQ(got, in);
  vmm->freeze();
}

TEST_P(RingsTest, a_frame_that_can_never_fit_is_dropped_and_counted) {
  power_on();
  start_driver(0);
  uint64_t buffer = offer_rx(500);
  kick(0);
  inject(frame_of(1000, 5));
  inject(frame_of(60, 6));
  ASSERT_TRUE(eventually([&] { return rx.used() == 1; }));
  EXPECT_EQ(guest_bytes(buffer + kNetHeaderBytes, 60), frame_of(60, 6));
  EXPECT_EQ(vmm->net->counters().rx_dropped, 1u);
}

TEST_P(RingsTest, no_frame_is_lost_while_the_driver_is_slow) {
  for (uint64_t events : {uint64_t{0}, virtio::kFeatureEventIdx}) {
    power_on();
    restart_rings();
    start_driver(events);
    for (int i = 0; i < 200; ++i) {
      inject(frame_of(60, static_cast<uint8_t>(i)));
      if (i % 3 == 2) std::this_thread::sleep_for(100us);
      uint64_t buffer = offer_rx(2048);
      if (rx.kick_wanted({.event_idx = events != 0})) kick(0);
      ASSERT_TRUE(eventually([&] { return rx.used() == i + 1; })) << i;
      EXPECT_EQ(guest_bytes(buffer + kNetHeaderBytes, 60), frame_of(60, static_cast<uint8_t>(i)));
      if (events != 0) rx.interrupt_at(0);
    }
    vmm.reset();
  }
}

TEST_P(RingsTest, a_blocked_transmit_is_tried_again) {
  int bytes = 8192;
  ::setsockopt(wire.get(), SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
  power_on();
  start_driver(virtio::kFeatureEventIdx);
  for (int i = 0; i < 30; ++i) send_tx(frame_of(1500, static_cast<uint8_t>(i)));
  std::this_thread::sleep_for(20ms);
  EXPECT_LT(tx.used(), 30) << "the socket takes fewer";
  for (int i = 0; i < 30; ++i) ASSERT_EQ(body(wire_frame()), frame_of(1500, static_cast<uint8_t>(i))) << i;
  EXPECT_TRUE(eventually([&] { return tx.used() == 30; }));
  EXPECT_EQ(vmm->net->counters().tx_dropped, 0u);
}

TEST_P(RingsTest, link_down_drops_frames_and_tells_the_guest) {
  power_on();
  start_driver(0);
  offer_rx(2048);
  kick(0);
  vmm->net->set_link(false);
  EXPECT_EQ(vmm->mmio.read(kBar + 0x2006, 2), 0u);
  EXPECT_EQ(vmm->msi.count(kConfigMessage), 1u);
  inject(frame_of(60, 1));
  send_tx(frame_of(60, 2));
  EXPECT_TRUE(eventually([&] { return vmm->net->counters().rx_dropped == 1 && tx.used() == 1; }));
  vmm->net->set_link(true);
  inject(frame_of(60, 3));
  ASSERT_TRUE(eventually([&] { return rx.used() == 1; }));
  EXPECT_EQ(guest_bytes(kRxBuffers + kNetHeaderBytes, 60), frame_of(60, 3));
}

TEST_F(VirtioNetTest, the_machine_announces_the_guest_s_address_itself) {
  const Bytes rarp{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x52, 0x54, 0x00, 0x12, 0x34, 0x56, 0x80, 0x35,  // Ethernet
                   0x00, 0x01, 0x08, 0x00, 0x06, 0x04, 0x00, 0x03,              // reverse request
                   0x52, 0x54, 0x00, 0x12, 0x34, 0x56, 0x00, 0x00, 0x00, 0x00,  // sender
                   0x52, 0x54, 0x00, 0x12, 0x34, 0x56, 0x00, 0x00, 0x00, 0x00,  // target
                   0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0, 0, 0, 0};
  for (bool header : {true, false}) {
    power_on(nic(), header);
    vmm->net->announce_by_rarp();
    Bytes frame = wire_frame();
    Bytes expected(header ? kNetHeaderBytes : 0);
    expected.insert(expected.end(), rarp.begin(), rarp.end());
    EXPECT_EQ(frame, expected) << "without a driver";
    start_driver(0);
    send_tx(frame_of(100, 1));
    EXPECT_FALSE(wire_frame().empty());
    vmm->net->announce_by_rarp();
    EXPECT_EQ(wire_frame(), frame) << "beside the driver's frames";

    vmm->net->set_link(false);
    vmm->net->announce_by_rarp();
    std::this_thread::sleep_for(20ms);
    vmm->freeze();
    vmm->net->set_link(true);
    vmm->net->announce_by_rarp();
    vmm->net->announce_by_rarp();
    std::this_thread::sleep_for(20ms);
    Bytes none(100);
    EXPECT_LT(::recv(peer.get(), none.data(), none.size(), MSG_DONTWAIT), 0)
        << "the link was down, or the device frozen";
    vmm->net->thaw();
    EXPECT_EQ(wire_frame(), frame);
    vmm->freeze();
    EXPECT_LT(::recv(peer.get(), none.data(), none.size(), MSG_DONTWAIT), 0) << "one frame at the thaw";
    restart_rings();
  }
}

TEST_P(RingsTest, an_announcement_stands_until_the_driver_acknowledges_it) {
  power_on();
  start_driver(0);
  EXPECT_FALSE(vmm->net->announce()) << "not negotiated";
  start_driver(kNetCtrlVq | kNetGuestAnnounce);
  ASSERT_TRUE(vmm->net->announce());
  EXPECT_EQ(vmm->mmio.read(kBar + 0x2006, 2), 3u);
  EXPECT_EQ(command(4, 0), 1) << "queue pairs: not offered";
  EXPECT_EQ(vmm->mmio.read(kBar + 0x2006, 2), 3u);
  EXPECT_EQ(command(3, 0), 0);
  EXPECT_EQ(vmm->mmio.read(kBar + 0x2006, 2), 1u);
}

}  // namespace
}  // namespace pagurus::device::testing
