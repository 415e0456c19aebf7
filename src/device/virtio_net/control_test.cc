// The control queue's commands, with up to 16 queue pairs, and hand-overs in the middle of each.
#include "device/virtio_net/testing/net_fixture.h"

namespace pagurus::device::testing {
namespace {

constexpr uint64_t kCommands =
    kNetCtrlVq | kNetCtrlRx | kNetCtrlRxExtra | kNetCtrlVlan | kNetCtrlMacAddr | kNetCtrlGuestOffloads | kNetNotfCoal;
constexpr unsigned kPairs = 16;
constexpr unsigned kControlQueue = 2 * kPairs;

struct Command {
  const char* name;
  uint8_t group;
  uint8_t code;
  Bytes data;
};

const Command kEveryCommand[] = {
    {"promisc", 0, 0, {0}},
    {"allmulti", 0, 1, {1}},
    {"alluni", 0, 2, {1}},
    {"nomulti", 0, 3, {1}},
    {"nouni", 0, 4, {1}},
    {"nobcast", 0, 5, {1}},
    {"mac table", 1, 0, {1, 0, 0, 0, 0x52, 0, 0, 0, 0, 9, 1, 0, 0, 0, 0x33, 0x33, 0, 0, 0, 1}},
    {"mac", 1, 1, {0x52, 0, 0, 0, 0, 7}},
    {"vlan add", 2, 0, {5, 0}},
    {"vlan del", 2, 1, {5, 0}},
    {"announce ack", 3, 0, {}},
    {"pairs", 4, 0, {3, 0}},
    {"guest offloads", 5, 0, {2, 0, 0, 0, 0, 0, 0, 0}},
    {"transmit coalescing", 6, 0, {9, 0, 0, 0, 100, 0, 0, 0}},
    {"receive coalescing", 6, 1, {9, 0, 0, 0, 100, 0, 0, 0}},
};

VirtioNetConfig full_nic() {
  VirtioNetConfig config = nic();
  config.ctrl_rx = config.ctrl_rx_extra = config.ctrl_vlan = config.ctrl_mac_addr = config.ctrl_guest_offloads = true;
  config.notf_coal = true;
  return config;
}

struct ControlTest : VirtioNetTest {
  explicit ControlTest(Layout rings_layout = Layout::kSplit) : VirtioNetTest(rings_layout) {
    config = full_nic();
    config.packed = layout == Layout::kPacked;
    config.mq = true;
    wires.push_back(wire.get());
    for (unsigned i = 1; i < kPairs; ++i) {
      int ends[2];
      EXPECT_EQ(::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
      further_wires.emplace_back(ends[0]);
      further_peers.emplace_back(ends[1]);
      wires.push_back(ends[0]);
      for (unsigned direction = 0; direction < 2; ++direction) {
        rings.push_back(make_ring(0x40000 + 0x10000 * rings.size(), 64));
      }
    }
  }
  std::unique_ptr<Vmm> make() { return std::make_unique<Vmm>(ram, wires, true, config); }
  DriverRing& ring(unsigned queue) { return queue == 0 ? rx : queue == 1 ? tx : *rings[queue - 2]; }
  int network(unsigned pair) { return pair == 0 ? peer.get() : further_peers[pair - 1].get(); }

  // A driver that has set up all pairs, and uses the first one yet.
  void start(uint64_t features) {
    vmm = make();
    vmm->net->thaw();
    vmm->net->function().config_write(pci::kCommand, 2, pci::kCommandMemory | pci::kCommandBusMaster);
    ASSERT_TRUE(negotiate(features | basics()));
    enable_msix();
    for (unsigned queue = 0; queue < kControlQueue; ++queue) set_queue(queue, ring(queue).config());
    set_queue(kControlQueue, control.config());
    set_common(0x14, 1, 0xf);
    ASSERT_EQ(common(0x14, 1), 0xfu);
  }
  // Another guest, in another process.
  void start_anew() {
    vmm.reset();
    for (auto& further : rings) further->restart();
    restart_rings();
    start_with_all();
  }
  void start_with_all() {
    start(kCommands | kNetMq | kNetGuestAnnounce | kNetGuestCsum | kNetGuestTso4);
    ASSERT_EQ(command(4, 0, {kPairs, 0}, kControlQueue), 0);
  }
  void hand_over() {
    vmm->freeze();
    auto next = make();
    auto loaded = next->load(vmm->save());
    ASSERT_TRUE(loaded) << loaded.error().message();
    EXPECT_EQ(next->save(), vmm->save()) << "nothing is lost on the way";
    vmm = std::move(next);
  }
  void offer_frame(unsigned pair, const Bytes& frame) {
    uint64_t address = kTxBuffers + 0x4000 * pair + 0x100 * (ring(2 * pair + 1).avail() % 64);
    ram.write({address}, Bytes(kNetHeaderBytes));
    ram.write({address + kNetHeaderBytes}, frame);
    ring(2 * pair + 1).offer({{address, static_cast<uint32_t>(kNetHeaderBytes + frame.size())}});
    kick(2 * pair + 1);
  }
  Bytes frame_from(unsigned pair) {
    Bytes frame(2048);
    ssize_t size = -1;
    eventually([&] { return (size = ::recv(network(pair), frame.data(), frame.size(), MSG_DONTWAIT)) >= 0; });
    frame.resize(static_cast<size_t>(std::max<ssize_t>(size, 0)));
    return frame;
  }
  // Every active pair carries a frame each way.
  void check_traffic(unsigned pairs, uint8_t seed) {
    for (unsigned i = 0; i < pairs; ++i) offer_frame(i, frame_of(60, static_cast<uint8_t>(seed + i)));
    for (unsigned i = 0; i < pairs; ++i) {
      ASSERT_EQ(body(frame_from(i)), frame_of(60, static_cast<uint8_t>(seed + i))) << i;
      // Before its buffer is used again.
      EXPECT_TRUE(eventually([&] { return ring(2 * i + 1).used() == ring(2 * i + 1).avail(); })) << i;
      uint16_t before = ring(2 * i).used();
      ring(2 * i).offer({{kRxBuffers + 0x1000 * i, 2048, true}});
      kick(2 * i);
      Bytes frame(kNetHeaderBytes + 60, 0xff);
      ASSERT_EQ(::send(network(i), frame.data(), frame.size(), 0), static_cast<ssize_t>(frame.size()));
      EXPECT_TRUE(eventually([&] { return ring(2 * i).used() != before; })) << i;
    }
  }

  VirtioNetConfig config;
  std::vector<int> wires;
  std::vector<UniqueFd> further_wires;
  std::vector<UniqueFd> further_peers;
  std::vector<std::unique_ptr<DriverRing>> rings;
};

struct ControlLayoutTest : ControlTest, ::testing::WithParamInterface<Layout> {
  ControlLayoutTest() : ControlTest(GetParam()) {}
};

INSTANTIATE_TEST_SUITE_P(Layouts, ControlLayoutTest, ::testing::Values(Layout::kSplit, Layout::kPacked),
                         ::testing::PrintToStringParamName());

TEST_F(ControlTest, registers_tell_of_every_pair) {
  vmm = make();
  vmm->net->function().config_write(pci::kCommand, 2, pci::kCommandMemory);
  EXPECT_EQ(common(0x12, 2), kControlQueue + 1) << "queues";
  EXPECT_EQ(vmm->mmio.read(kBar + 0x2008, 2), kPairs);
  EXPECT_EQ(offered() & (kCommands | kNetMq), kCommands | kNetMq);
  EXPECT_EQ(vmm->mmio.read(kBar + 0x200c, 4), 0u) << "no speed";
  EXPECT_EQ(offered() & kNetSpeedDuplex, 0u);
}

TEST_F(ControlTest, a_link_has_the_speed_it_was_given) {
  config.speed = 10'000;
  config.duplex = schema::NetDuplex::kFull;
  vmm = make();
  vmm->net->function().config_write(pci::kCommand, 2, pci::kCommandMemory);
  EXPECT_EQ(vmm->mmio.read(kBar + 0x200c, 4), 10'000u);
  EXPECT_EQ(vmm->mmio.read(kBar + 0x2010, 1), 1u);
  EXPECT_NE(offered() & kNetSpeedDuplex, 0u);
}

TEST_P(ControlLayoutTest, a_pair_serves_once_the_driver_asks_for_it) {
  start(kCommands | kNetMq);
  EXPECT_EQ(vmm->backend.active_pairs, 1u);
  offer_frame(5, frame_of(60, 1));
  std::this_thread::sleep_for(20ms);
  EXPECT_EQ(ring(11).used(), 0);
  EXPECT_EQ(command(4, 0, {kPairs, 0}, kControlQueue), 0);
  EXPECT_EQ(vmm->backend.active_pairs, kPairs);
  EXPECT_EQ(body(frame_from(5)), frame_of(60, 1)) << "what was offered before is not forgotten";
  check_traffic(kPairs, 7);
  auto counters = vmm->net->pair_counters();
  ASSERT_EQ(counters.size(), kPairs);
  for (unsigned i = 0; i < kPairs; ++i) {
    EXPECT_EQ(counters[i].tx_packets, i == 5 ? 2u : 1u) << i;
    EXPECT_EQ(counters[i].rx_packets, 1u) << i;
  }
  EXPECT_EQ(vmm->net->counters().tx_packets, kPairs + 1);
  EXPECT_EQ(command(4, 0, {2, 0}, kControlQueue), 0);
  offer_frame(5, frame_of(60, 1));
  std::this_thread::sleep_for(20ms);
  EXPECT_EQ(ring(11).used(), 2) << "and not any more";
  check_traffic(2, 9);
}

TEST_P(ControlLayoutTest, without_mq_the_control_queue_is_behind_the_first_pair) {
  vmm = make();
  vmm->net->thaw();
  vmm->net->function().config_write(pci::kCommand, 2, pci::kCommandMemory | pci::kCommandBusMaster);
  for (int round = 0; round < 3; ++round) {
    restart_rings();
    start_driver(kCommands);
    EXPECT_EQ(command(0, 1, {1}), 0);
    EXPECT_EQ(command(4, 0, {1, 0}), 1) << "not negotiated";
    hand_over();
    vmm->net->thaw();
    EXPECT_EQ(command(0, 1, {0}), 0);
    vmm.reset();
    for (auto& further : rings) further->restart();
    restart_rings();
    start(kCommands | kNetMq);
    EXPECT_EQ(command(4, 0, {4, 0}, kControlQueue), 0);
    check_traffic(4, 3);
    vmm->freeze();
    vmm->net->reset();
    vmm->net->thaw();
    vmm->net->function().config_write(pci::kCommand, 2, pci::kCommandMemory | pci::kCommandBusMaster);
  }
}

TEST_P(ControlLayoutTest, a_hand_over_between_a_command_and_its_answer) {
  for (const Command& each : kEveryCommand) {
    SCOPED_TRACE(each.name);
    start_anew();
    vmm->freeze();
    uint16_t before = control.used();
    uint64_t answer = post(control, each.group, each.code, each.data);
    hand_over();
    EXPECT_EQ(control.used(), before);
    vmm->net->thaw();
    ASSERT_TRUE(eventually([&] { return control.used() != before; }));
    EXPECT_EQ(guest_bytes(answer, 1)[0], 0);
    hand_over();
    vmm->net->thaw();
    check_traffic(each.group == 4 ? 3 : each.group == 0 && each.code == 5 ? 1 : kPairs, 1);
  }
}

TEST_P(ControlLayoutTest, a_hand_over_between_an_answer_and_the_driver_s_look_at_it) {
  for (const Command& each : kEveryCommand) {
    SCOPED_TRACE(each.name);
    start_anew();
    ASSERT_TRUE(vmm->net->announce());
    EXPECT_EQ(command(each.group, each.code, each.data, kControlQueue), 0);
    uint16_t answered = control.used();
    auto offloads = vmm->backend.agreed;
    unsigned active = vmm->backend.active_pairs;
    hand_over();
    EXPECT_EQ(vmm->backend.set_offloads_calls + vmm->backend.set_active_pairs_calls, 0) << "taken as it is";
    vmm->net->renew_backend();
    EXPECT_EQ(vmm->backend.agreed, offloads);
    EXPECT_EQ(vmm->backend.active_pairs, active);
    vmm->net->thaw();
    EXPECT_EQ(control.used(), answered);
    check_traffic(active, 1);
    EXPECT_EQ(command(0, 0, {1}, kControlQueue), 0);
  }
}

TEST_F(ControlTest, a_driver_finds_nothing_of_its_predecessor) {
  config.counters_move = false;
  start_with_all();
  for (const Command& each : kEveryCommand) EXPECT_EQ(command(each.group, each.code, each.data, kControlQueue), 0);
  EXPECT_EQ(vmm->mmio.read(kBar + 0x2002, 4), 0x0700'0000u) << "the address it set";
  set_common(0x14, 1, 0);
  EXPECT_EQ(vmm->mmio.read(kBar + 0x2002, 4), 0x5634'1200u);
  vmm->freeze();
  auto states = vmm->save();
  vmm = make();
  EXPECT_EQ(states.back(), vmm->save().back());
}

TEST_P(ControlLayoutTest, a_command_that_makes_no_sense_is_answered_with_an_error) {
  start_with_all();
  auto refused = [&](uint8_t group, uint8_t code, const Bytes& data) {
    EXPECT_EQ(command(group, code, data, kControlQueue), 1) << unsigned{group} << "/" << unsigned{code};
  };
  for (uint8_t group = 0; group < 8; ++group) refused(group, 77, {1});
  for (const Command& each : kEveryCommand) {
    if (each.data.empty()) continue;
    refused(each.group, each.code, Bytes(each.data.begin(), each.data.end() - 1));
    Bytes longer = each.data;
    longer.push_back(0);
    refused(each.group, each.code, longer);
  }
  refused(4, 0, {0, 0});
  refused(4, 0, {kPairs + 1, 0});
  refused(5, 0, {0, 1, 0, 0, 0, 0, 0, 0});
  uint16_t before = control.used();
  control.offer({{kControl, 1}, {kControl + 1, 1, true}});
  kick(kControlQueue);
  EXPECT_TRUE(eventually([&] { return control.used() != before; })) << "half a command";
  EXPECT_EQ(common(0x14, 1), 0xfu);
  check_traffic(kPairs, 1);
  EXPECT_EQ(vmm->net->counters().guest_faults, 0u);

  control.offer({{kControl, 2}});
  kick(kControlQueue);
  EXPECT_TRUE(eventually([&] { return (common(0x14, 1) & virtio::kStatusNeedsReset) != 0; })) << "no room";
}

TEST_F(ControlTest, commands_that_were_not_negotiated_are_refused) {
  start(kNetCtrlVq | kNetMq);
  for (const Command& each : kEveryCommand) {
    if (each.group == 3 || each.group == 4) continue;
    EXPECT_EQ(command(each.group, each.code, each.data, kControlQueue), 1) << each.name;
  }
}

TEST_P(ControlLayoutTest, frames_that_the_driver_does_not_want_are_passed_over) {
  start(kCommands | kNetMq | kNetMrgRxbuf);
  EXPECT_EQ(command(0, 0, {0}, kControlQueue), 0);
  Bytes other = frame_of(60, 2);
  Bytes mine = frame_of(60, 3);
  other[0] = 2;
  std::ranges::copy(config.mac, mine.begin());
  uint64_t buffer = offer_rx(2048);
  kick(0);
  inject(other);
  inject(mine);
  ASSERT_TRUE(eventually([&] { return rx.used() == 1; }));
  EXPECT_EQ(guest_bytes(buffer + kNetHeaderBytes, 60), mine);
  EXPECT_EQ(vmm->net->counters().rx_dropped, 0u);
  EXPECT_EQ(vmm->net->counters().rx_filtered, 1u);
  hand_over();
  vmm->net->thaw();
  offer_rx(2048);
  kick(0);
  inject(other);
  inject(mine);
  ASSERT_TRUE(eventually([&] { return rx.used() == 2; }));
  EXPECT_EQ(vmm->net->counters().rx_packets, 2u) << "the filter moved with the guest";
  EXPECT_EQ(vmm->net->counters().rx_filtered, 2u);
}

TEST_F(ControlTest, counters_go_on_after_a_hand_over) {
  start_with_all();
  check_traffic(kPairs, 1);
  vmm->freeze();
  auto before = vmm->net->pair_counters();
  uint64_t commands = vmm->net->control_kicks();
  EXPECT_GE(commands, 1u);
  hand_over();
  auto after = vmm->net->pair_counters();
  for (unsigned i = 0; i < kPairs; ++i) EXPECT_EQ(after[i].numbers(), before[i].numbers()) << i;
  EXPECT_EQ(vmm->net->control_kicks(), commands);
  vmm->net->thaw();
  check_traffic(kPairs, 1);
  EXPECT_EQ(vmm->net->counters().rx_packets, 2 * kPairs);
}

TEST_F(ControlTest, only_the_driver_s_kicks_are_counted) {
  start_with_all();
  auto counters = [&] { return std::array{vmm->net->pair_counters()[0].kicks, vmm->net->control_kicks()}; };
  auto before = counters();
  // As many as are sent in one go, so that it looks again.
  for (int i = 0; i < 64; ++i) tx.offer({{kTxBuffers, kNetHeaderBytes + 60}});
  kick(1);
  for (int i = 0; i < 64; ++i) EXPECT_EQ(frame_from(0).size(), kNetHeaderBytes + 60u);
  for (int i = 0; i < 3; ++i) {
    hand_over();
    vmm->net->thaw();
    std::this_thread::sleep_for(5ms);
  }
  EXPECT_EQ(command(0, 1, {1}, kControlQueue), 0);
  EXPECT_EQ(counters(), (std::array{before[0] + 1, before[1] + 1}));
}

TEST_F(ControlTest, counters_begin_anew_where_the_machine_type_does_not_move_them) {
  config.counters_move = false;
  start_with_all();
  check_traffic(kPairs, 1);
  hand_over();
  EXPECT_EQ(vmm->net->counters().rx_packets, 0u);
}

TEST_F(ControlTest, a_change_of_the_filter_is_told_once_until_somebody_asks) {
  start(kCommands | kNetMq);
  EXPECT_EQ(command(0, 0, {0}, kControlQueue), 0);
  EXPECT_EQ(vmm->rx_filter_changes, 1);
  EXPECT_EQ(command(2, 0, {5, 0}, kControlQueue), 0);
  EXPECT_EQ(vmm->rx_filter_changes, 1);
  auto filter = vmm->net->rx_filter();
  EXPECT_FALSE(filter.promisc);
  EXPECT_EQ(filter.vlan_list(), std::vector{5u});
  EXPECT_EQ(vmm->rx_filter_changes, 1);
  EXPECT_EQ(command(2, 0, {5}, kControlQueue), 1);
  EXPECT_EQ(vmm->rx_filter_changes, 1) << "nothing has changed";
  EXPECT_EQ(command(2, 1, {5, 0}, kControlQueue), 0);
  EXPECT_EQ(vmm->rx_filter_changes, 2);
}

TEST_F(ControlTest, a_link_is_up_while_the_back_end_is_connected) {
  start_with_all();
  auto status = [&] { return vmm->mmio.read(kBar + 0x2006, 2) & 1; };
  EXPECT_EQ(status(), 1u);
  vmm->backend.connect(false);
  EXPECT_EQ(status(), 0u);
  EXPECT_EQ(vmm->msi.count(kConfigMessage), 1u);
  vmm->net->set_link(false);
  vmm->backend.connect(true);
  EXPECT_EQ(status(), 0u);
  vmm->net->set_link(true);
  EXPECT_EQ(status(), 1u);
  EXPECT_EQ(vmm->msi.count(kConfigMessage), 2u);
  vmm->backend.connect(false);
  hand_over();
  EXPECT_EQ(status(), 0u) << "as the guest knows it";
  vmm->net->thaw();
  EXPECT_EQ(status(), 1u);
  EXPECT_EQ(vmm->msi.count(kConfigMessage), 1u) << "this back end is connected, and the guest is told";
}

TEST_F(ControlTest, a_back_end_can_change_its_ports_while_all_is_still) {
  start_with_all();
  for (int round = 0; round < 20; ++round) {
    vmm->backend.listener().hold_still([&] { EXPECT_EQ(rx.used(), round); });
    check_traffic(1, 5);
  }
}

TEST_P(ControlLayoutTest, a_machine_that_stops_waits_for_one_command_and_not_for_those_behind_it) {
  start_with_all();
  uint16_t before = control.used();
  vmm->backend.on_set_active_pairs = [&] { vmm->net->request_freeze(); };
  for (uint8_t pairs : {2, 3, 4}) post(control, 4, 0, {pairs, 0});
  kick(kControlQueue);
  EXPECT_TRUE(eventually([&] { return control.used() != before; }));
  vmm->freeze();
  EXPECT_EQ(vmm->backend.active_pairs, 2u);
  vmm->backend.on_set_active_pairs = [] {};
  hand_over();
  vmm->net->thaw();
  EXPECT_TRUE(eventually([&] { return control.used() == control.avail(); }));
  EXPECT_EQ(vmm->backend.active_pairs, 4u);
}

// Commands that hold the other workers, a machine that freezes all of them, and traffic, at once.
TEST_P(ControlLayoutTest, commands_under_freezes_and_traffic_do_not_deadlock) {
  start_with_all();
  std::atomic<bool> stop = false;
  std::thread control_thread([&] {
    while (!stop) {
      vmm->freeze();
      (void)vmm->save();
      vmm->net->thaw();
      vmm->net->set_link(true);
    }
  });
  for (int round = 0; round < 100; ++round) {
    uint8_t pairs = round % 2 == 0 ? 2 : kPairs;
    EXPECT_EQ(command(4, 0, {pairs, 0}, kControlQueue), 0);
    EXPECT_EQ(command(0, 1, {1}, kControlQueue), 0);
    check_traffic(2, 1);
  }
  stop = true;
  control_thread.join();
}

// Frames steered by their hash: of one TCP flow, which Microsoft's vectors have the hash of.
struct SteeringTest : ControlTest {
  static constexpr uint64_t kSteered = kNetCtrlVq | kNetMq | kNetRss | kNetHashReport | kNetMrgRxbuf;
  static constexpr size_t kHeader = Steering::kHashHeaderBytes;

  SteeringTest() { config.rss = config.hash = true; }
  static Bytes rss_key() {
    return {0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
            0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
            0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};
  }
  // The flow's hash selects the first of the two pairs.
  static Bytes rss(uint8_t first, uint8_t second, uint8_t unclassified, uint8_t transmit = 1) {
    Bytes data{0x3f, 0, 0, 0, 1, 0, unclassified, 0, first, 0, second, 0, transmit, 0, 40};
    for (uint8_t byte : rss_key()) data.push_back(byte);
    return data;
  }
  static Bytes flow_frame(uint8_t seed = 0) {
    Bytes frame{0, 0, 0, 0,  0, 0, 0, 0,  0, 0,   0,   0,   8,   0,   0x45, 0,    0,    40,   0,
                0, 0, 0, 64, 6, 0, 0, 66, 9, 149, 187, 161, 142, 100, 80,   0x0a, 0xea, 0x06, 0xe6};
    frame.resize(60, seed);
    return frame;
  }
  void start_steered(const Bytes& command_data) {
    start(kSteered);
    ASSERT_EQ(command(4, 1, command_data, kControlQueue), 0);
  }
  uint64_t offer(unsigned pair) {
    uint64_t address = kRxBuffers + 0x10000 * pair + 0x1000 * (ring(2 * pair).avail() % 16);
    ring(2 * pair).offer({{address, 2048, true}});
    kick(2 * pair);
    return address;
  }
  void send(unsigned reader, const Bytes& frame) {
    Bytes whole(kNetHeaderBytes);
    whole[0] = 1;
    whole.insert(whole.end(), frame.begin(), frame.end());
    ASSERT_EQ(::send(network(reader), whole.data(), whole.size(), 0), static_cast<ssize_t>(whole.size()));
  }
  void check_arrival(unsigned pair, uint64_t buffer, uint16_t used, const Bytes& frame, uint32_t hash, uint8_t report) {
    ASSERT_TRUE(eventually([&] { return ring(2 * pair).used() == used; }));
    Bytes got = guest_bytes(buffer, kHeader + frame.size());
    EXPECT_EQ(got[0], 1) << "the back end's header";
    EXPECT_EQ(load_le<uint16_t>(got.data() + 10), 1) << "buffers";
    EXPECT_EQ(load_le<uint32_t>(got.data() + 12), hash);
    EXPECT_EQ(load_le<uint16_t>(got.data() + 16), report);
    EXPECT_EQ(Bytes(got.begin() + kHeader, got.end()), frame);
  }
};

constexpr uint32_t kFlowHash = 0x51ccc178;

TEST_F(SteeringTest, registers_tell_what_the_device_can) {
  vmm = make();
  vmm->net->function().config_write(pci::kCommand, 2, pci::kCommandMemory);
  EXPECT_EQ(offered() & (kNetRss | kNetHashReport), kNetRss | kNetHashReport);
  EXPECT_EQ(vmm->mmio.read(kBar + 0x2011, 1), kMaxRssKey);
  EXPECT_EQ(vmm->mmio.read(kBar + 0x2012, 2), kMaxRssTable);
  EXPECT_EQ(vmm->mmio.read(kBar + 0x2014, 4), kSupportedHashTypes);
  EXPECT_EQ(vmm->mmio.read(kBar + 0x200c, 4), 0xffff'ffffu) << "no speed";
}

TEST_F(SteeringTest, a_frame_goes_to_the_pair_of_its_hash_across_a_hand_over) {
  start_steered(rss(5, 2, 3));
  EXPECT_EQ(vmm->backend.active_pairs, 6u) << "as many as the table names";
  for (uint16_t round = 1; round <= 2; ++round) {
    for (unsigned reader : {0u, 5u, 4u}) {
      uint64_t buffer = offer(5);
      send(reader, flow_frame(static_cast<uint8_t>(reader)));
      uint16_t used = static_cast<uint16_t>(3 * (round - 1) + (reader == 0 ? 1 : reader == 5 ? 2 : 3));
      check_arrival(5, buffer, used, flow_frame(static_cast<uint8_t>(reader)), kFlowHash, 2);
    }
    uint64_t buffer = offer(3);
    send(1, frame_of(60, 7));
    check_arrival(3, buffer, round, frame_of(60, 7), 0, 0);
    hand_over();
    vmm->net->thaw();
  }
  EXPECT_EQ(vmm->net->pair_counters()[5].rx_bytes, 6 * 60u);
}

TEST_F(SteeringTest, does_not_take_away_pairs_that_the_driver_has_asked_for) {
  start_steered(rss(0, 0, 0));
  ASSERT_EQ(command(4, 0, {kPairs, 0}, kControlQueue), 0);
  ASSERT_EQ(command(4, 1, rss(0, 0, 0), kControlQueue), 0);
  EXPECT_EQ(vmm->backend.active_pairs, kPairs);
  ASSERT_EQ(command(4, 0, {1, 0}, kControlQueue), 0);
  EXPECT_EQ(vmm->backend.active_pairs, 1u);
}

TEST_F(SteeringTest, a_frame_without_room_waits_also_across_a_hand_over) {
  start_steered(rss(2, 2, 2));
  send(0, flow_frame(1));
  send(0, flow_frame(2));
  std::this_thread::sleep_for(20ms);
  hand_over();
  vmm->net->thaw();
  uint64_t first = offer(2);
  check_arrival(2, first, 1, flow_frame(1), kFlowHash, 2);
  uint64_t second = offer(2);
  check_arrival(2, second, 2, flow_frame(2), kFlowHash, 2);
  EXPECT_EQ(vmm->net->counters().rx_dropped, 0u);
}

TEST_F(SteeringTest, a_frame_that_is_too_long_to_be_held_does_not_keep_the_guest_from_moving) {
  start_steered(rss(0, 0, 0));
  send(0, frame_of(kMaxNetFrame - kNetHeaderBytes + 1, 1));
  EXPECT_TRUE(eventually([&] { return vmm->net->counters().rx_dropped == 1; }));
  send(0, frame_of(kMaxNetFrame - kNetHeaderBytes, 2));
  std::this_thread::sleep_for(20ms);
  hand_over();
  EXPECT_EQ(vmm->net->counters().rx_dropped, 1u);
}

TEST_F(SteeringTest, a_hand_over_between_a_command_and_its_answer) {
  start_steered(rss(1, 1, 1));
  Bytes hash{0x01, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 40};
  for (uint8_t byte : rss_key()) hash.push_back(byte);
  const struct {
    uint8_t code;
    Bytes data;
    unsigned reader, pair;
    uint32_t hash;
    uint8_t report;
  } commands[] = {{1, rss(kPairs - 1, 2, 3), 0, kPairs - 1, kFlowHash, 2}, {2, hash, 4, 4, 0x323e8fc2, 1}};
  for (const auto& each : commands) {
    uint64_t answer = post(control, 4, each.code, each.data);
    hand_over();
    vmm->net->thaw();
    EXPECT_TRUE(eventually([&] { return control.used() == control.avail(); }));
    EXPECT_EQ(guest_bytes(answer, 1)[0], 0);
    EXPECT_EQ(vmm->backend.active_pairs, kPairs);
    // And between the answer and the frames that it is about.
    hand_over();
    vmm->net->thaw();
    uint64_t buffer = offer(each.pair);
    send(each.reader, flow_frame());
    check_arrival(each.pair, buffer, 1, flow_frame(), each.hash, each.report);
  }
}

TEST_F(SteeringTest, frames_of_every_reader_count_for_the_ring_that_they_go_to) {
  start(kSteered | kNetNotfCoal);
  ASSERT_EQ(command(4, 1, rss(2, 2, 2), kControlQueue), 0);
  ASSERT_EQ(command(6, 1, {6, 0, 0, 0, 0, 0, 0, 0x80}, kControlQueue), 0);
  for (int i = 0; i < 8; ++i) offer(2);
  auto interrupts = [&] { return vmm->net->pair_counters()[2].interrupts; };
  auto all_arrive = [&](unsigned readers, uint16_t used) {
    for (unsigned reader = 0; reader < readers; ++reader) send(reader, flow_frame());
    return eventually([&] { return ring(4).used() == used; });
  };
  ASSERT_TRUE(all_arrive(3, 3));
  ASSERT_TRUE(all_arrive(2, 5));
  EXPECT_EQ(interrupts(), 0u);
  ASSERT_TRUE(all_arrive(1, 6));
  EXPECT_TRUE(eventually([&] { return interrupts() == 1; }));
  ASSERT_EQ(command(6, 1, {6, 0, 0, 0, 100, 0, 0, 0}, kControlQueue), 0);
  ASSERT_TRUE(all_arrive(2, 8));
  EXPECT_TRUE(eventually([&] { return interrupts() >= 2; })) << "in time";
}

TEST_F(SteeringTest, the_longer_header_does_not_reach_the_network) {
  start_steered(rss(0, 0, 0));
  Bytes frame = frame_of(60, 9);
  Bytes whole(kHeader, 0xee);
  std::fill_n(whole.begin(), kNetHeaderBytes, 0);
  whole.insert(whole.end(), frame.begin(), frame.end());
  ram.write({kTxBuffers}, whole);
  tx.offer({{kTxBuffers, static_cast<uint32_t>(whole.size())}});
  kick(1);
  Bytes sent = frame_from(0);
  EXPECT_EQ(sent.size(), kNetHeaderBytes + frame.size());
  EXPECT_EQ(body(sent), frame);
}

TEST_F(SteeringTest, a_number_of_pairs_ends_the_steering_and_a_hash_alone_does_not_steer) {
  start_steered(rss(5, 5, 5));
  EXPECT_EQ(command(4, 0, {2, 0}, kControlQueue), 0);
  uint64_t buffer = offer(1);
  send(1, flow_frame());
  check_arrival(1, buffer, 1, flow_frame(), kFlowHash, 2);
  Bytes hash{0x01, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 40};
  for (uint8_t byte : rss_key()) hash.push_back(byte);
  EXPECT_EQ(command(4, 2, hash, kControlQueue), 0);
  buffer = offer(0);
  send(0, flow_frame());
  check_arrival(0, buffer, 1, flow_frame(), 0x323e8fc2, 1);
}

TEST_F(SteeringTest, commands_that_make_no_sense_change_nothing) {
  start_steered(rss(1, 1, 1));
  EXPECT_EQ(command(4, 1, rss(kPairs, 0, 0), kControlQueue), 1) << "no such pair";
  EXPECT_EQ(command(4, 1, rss(0, 0, kPairs), kControlQueue), 1);
  EXPECT_EQ(command(4, 1, rss(0, 0, 0, kPairs + 1), kControlQueue), 1);
  EXPECT_EQ(command(4, 1, rss(0, 0, 0, 0), kControlQueue), 1) << "nothing to send with";
  EXPECT_EQ(command(4, 1, Bytes(7), kControlQueue), 1);
  EXPECT_EQ(command(4, 2, Bytes(12), kControlQueue), 1);
  uint64_t buffer = offer(1);
  send(0, flow_frame());
  check_arrival(1, buffer, 1, flow_frame(), kFlowHash, 2);
}

TEST_F(SteeringTest, many_readers_fill_one_ring_under_freezes) {
  start_steered(rss(7, 7, 7));
  std::atomic<bool> stop = false;
  std::thread control_thread([&] {
    while (!stop) {
      vmm->freeze();
      (void)vmm->save();
      vmm->net->thaw();
    }
  });
  uint16_t arrived = 0;
  for (int round = 0; round < 50; ++round) {
    for (unsigned reader = 0; reader < 8; ++reader) send(reader, flow_frame());
    for (unsigned i = 0; i < 8; ++i) offer(7);
    arrived += 8;
    ASSERT_TRUE(eventually([&] { return ring(14).used() == arrived; })) << round;
  }
  stop = true;
  control_thread.join();
  EXPECT_EQ(vmm->net->counters().rx_dropped, 0u);
}

}  // namespace
}  // namespace pagurus::device::testing
