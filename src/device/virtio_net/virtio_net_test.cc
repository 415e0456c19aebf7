#include "device/virtio_net/virtio_net.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <chrono>
#include <functional>
#include <numeric>
#include <thread>

#include "device/virtio_net/features.h"
#include "pci/bus.h"
#include "pci/testing/fakes.h"
#include "virtio/testing/ring_builder.h"

namespace pagurus::device {
namespace {

using namespace std::chrono_literals;
using virtio::testing::Buffer;
using virtio::testing::RingBuilder;
using Bytes = std::vector<uint8_t>;

bool eventually(const std::function<bool()>& condition) {
  for (int i = 0; i < 5000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(1ms);
  }
  return false;
}

const vmstate::Description& no_description() {
  static constexpr vmstate::Description kDescription{"socketpair", 1, {}};
  return kDescription;
}

// A back end made of one end of a socketpair: one message is one frame.
class SocketBackend final : public net::Backend {
 public:
  SocketBackend(UniqueFd fd, bool header) : fd_(std::move(fd)), header_(header) {}

  Result<const vmstate::Description*> movable() const override { return &no_description(); }
  void freeze() override {}
  Result<void> save(vmstate::Writer&) const override { return {}; }
  Result<void> adopt(vmstate::Reader&) override { return {}; }
  void thaw() override {}
  void release() override {}
  const std::string& id() const override { return id_; }
  std::string_view kind() const override { return "socketpair"; }
  bool pending() const override { return false; }
  Result<void> open() override { return {}; }
  bool vnet_header() const override { return header_; }
  net::Offloads offloads() const override { return able; }
  Result<void> set_offloads(const net::Offloads& offloads) override {
    agreed = offloads;
    ++set_offloads_calls;
    return {};
  }
  int receive_fd() const override { return fd_.get(); }
  net::IoResult receive(std::span<const iovec> frame) override {
    return result(::readv(fd_.get(), frame.data(), static_cast<int>(frame.size())));
  }
  net::IoResult transmit(std::span<const iovec> frame) override {
    return result(::writev(fd_.get(), frame.data(), static_cast<int>(frame.size())));
  }

  net::Offloads able{.csum = true, .tso4 = true, .tso6 = true, .ecn = true};
  net::Offloads agreed;
  int set_offloads_calls = 0;

 private:
  static net::IoResult result(ssize_t bytes) {
    if (bytes >= 0) return {net::IoStatus::kOk, static_cast<size_t>(bytes)};
    return {errno == EAGAIN ? net::IoStatus::kWouldBlock : net::IoStatus::kDropped, 0};
  }
  UniqueFd fd_;
  bool header_;
  std::string id_ = "n0";
};

// One VMM process: its back end's descriptor and a device.  Guest RAM and the wire are shared.
struct Vmm {
  Vmm(const memory::GuestMemory& ram, int wire, bool header, VirtioNetConfig config)
      : backend(*duplicate(wire), header),
        net(*VirtioNet::create({.config = std::move(config),
                                .backend = backend,
                                .memory = ram,
                                .mmio = mmio,
                                .msi = msi,
                                .doorbells = doorbells})) {
    EXPECT_TRUE(pci.add(net->function(), std::nullopt));
    EXPECT_TRUE(pci.assign_bars());
  }
  void freeze() {
    net->request_freeze();
    net->wait_frozen();
  }
  std::vector<Bytes> save() {
    std::vector<Bytes> states;
    for (const auto& [name, section] : net->sections()) {
      vmstate::Writer writer;
      section.save(writer);
      states.push_back(writer.bytes());
    }
    return states;
  }
  Result<void> load(const std::vector<Bytes>& states) {
    auto sections = net->sections();
    for (size_t i = 0; i < sections.size(); ++i) {
      vmstate::Reader reader(states[i], {});
      TRY(sections[i].section.load(reader));
    }
    return {};
  }

  bus::IoBus mmio;
  pci::testing::RecordingMsi msi;
  pci::testing::RecordingDoorbells doorbells;
  SocketBackend backend;
  pci::PciBus pci{mmio, {.base = 0xc000'0000, .size = 0x100'0000}};
  std::unique_ptr<VirtioNet> net;
};

VirtioNetConfig nic() {
  return {.id = "nic", .netdev = "n0", .mac = {0x52, 0x54, 0, 0x12, 0x34, 0x56}};
}

constexpr uint64_t kBar = 0xc000'0000;
constexpr uint64_t kNotify = kBar + 0x3000;
constexpr uint64_t kMsixBar = 0xc000'4000;
constexpr uint32_t kConfigMessage = 0x40;  // queue i: 0x41 + i
constexpr uint64_t kRxBuffers = 0x100'0000;
constexpr uint64_t kTxBuffers = 0x200'0000;
constexpr uint64_t kControl = 0x300'0000;

struct VirtioNetTest : ::testing::Test {
  VirtioNetTest() {
    EXPECT_TRUE(ram.allocate());
    int ends[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    wire = UniqueFd(ends[0]);
    peer = UniqueFd(ends[1]);
    int bytes = 1 << 20;
    ::setsockopt(peer.get(), SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
  }

  void power_on(VirtioNetConfig config = nic(), bool header = true) {
    vmm = std::make_unique<Vmm>(ram, wire.get(), header, std::move(config));
    vmm->net->thaw();
    vmm->net->function().config_write(pci::kCommand, 2, pci::kCommandMemory | pci::kCommandBusMaster);
  }
  uint64_t common(uint64_t offset, unsigned size) { return vmm->mmio.read(kBar + offset, size); }
  void set_common(uint64_t offset, unsigned size, uint64_t value) { vmm->mmio.write(kBar + offset, size, value); }
  uint64_t offered() {
    set_common(0, 4, 0);
    uint64_t low = common(4, 4);
    set_common(0, 4, 1);
    return low | common(4, 4) << 32;
  }
  // As a driver does: features, vectors, queues, DRIVER_OK.
  bool negotiate(uint64_t features) {
    set_common(0x14, 1, 0);
    set_common(0x14, 1, virtio::kStatusAcknowledge | virtio::kStatusDriver);
    for (unsigned i = 0; i < 2; ++i) {
      set_common(8, 4, i);
      set_common(12, 4, features >> (32 * i) & 0xffff'ffff);
    }
    set_common(0x14, 1, 0xb);
    return (common(0x14, 1) & virtio::kStatusFeaturesOk) != 0;
  }
  void set_queue(unsigned index, const virtio::QueueConfig& queue) {
    set_common(0x16, 2, index);
    set_common(0x18, 2, queue.size);
    set_common(0x1a, 2, 1 + index);
    set_common(0x20, 4, queue.descriptors.value);
    set_common(0x24, 4, queue.descriptors.value >> 32);
    set_common(0x28, 8, queue.avail.value);
    set_common(0x30, 8, queue.used.value);
    set_common(0x1c, 2, 1);
  }
  void enable_msix() {
    uint8_t at = 0x34;
    auto& function = vmm->net->function();
    for (at = static_cast<uint8_t>(function.config_read(at, 1)); function.config_read(at, 1) != 0x11;) {
      at = static_cast<uint8_t>(function.config_read(at + 1, 1));
    }
    function.config_write(at + 2, 2, 1 << 15);
    for (unsigned i = 0; i < 4; ++i) {
      vmm->mmio.write(kMsixBar + 16 * i, 8, 0xfee0'0000);
      vmm->mmio.write(kMsixBar + 16 * i + 8, 4, kConfigMessage + i);
      vmm->mmio.write(kMsixBar + 16 * i + 12, 4, 0);
    }
    set_common(0x10, 2, 0);
  }
  void start_driver(uint64_t features) {
    ASSERT_TRUE(negotiate(features | virtio::kFeatureVersion1));
    enable_msix();
    set_queue(0, rx.config());
    set_queue(1, tx.config());
    if ((features & kNetCtrlVq) != 0) set_queue(2, control.config());
    set_common(0x14, 1, 0xf);
    ASSERT_EQ(common(0x14, 1), 0xfu);
  }
  void restart_rings() {
    rx.restart();
    tx.restart();
    control.restart();
  }
  void kick(unsigned queue) { vmm->mmio.write(kNotify + 4 * queue, 2, queue); }

  uint64_t offer_rx(uint32_t length) {
    uint64_t address = kRxBuffers + 0x2000 * (rx_offered++ % 256);
    rx.offer({{address, length, true}});
    return address;
  }
  void send_tx(const Bytes& frame) {
    uint64_t address = kTxBuffers + 0x1000 * (tx.avail() % 64);
    ram.write({address}, Bytes(kNetHeaderBytes));
    ram.write({address + kNetHeaderBytes}, frame);
    tx.offer({{address, kNetHeaderBytes}, {address + kNetHeaderBytes, static_cast<uint32_t>(frame.size())}});
    kick(1);
  }
  // A frame from the network, with the host's header in front.
  void inject(const Bytes& frame, bool header = true) {
    Bytes whole(header ? kNetHeaderBytes : 0);
    whole.insert(whole.end(), frame.begin(), frame.end());
    ASSERT_EQ(::send(peer.get(), whole.data(), whole.size(), 0), static_cast<ssize_t>(whole.size())) << errno;
  }
  Bytes wire_frame() {
    Bytes frame(70000);
    ssize_t size = -1;
    eventually([&] { return (size = ::recv(peer.get(), frame.data(), frame.size(), MSG_DONTWAIT)) >= 0; });
    frame.resize(static_cast<size_t>(std::max<ssize_t>(size, 0)));
    return frame;
  }
  Bytes guest_bytes(uint64_t address, size_t size) {
    Bytes bytes(size);
    EXPECT_TRUE(ram.read({address}, bytes));
    return bytes;
  }
  static Bytes frame_of(size_t size, uint8_t seed) {
    Bytes frame(size);
    std::iota(frame.begin(), frame.end(), seed);
    return frame;
  }
  static Bytes body(const Bytes& wire_frame) { return Bytes(wire_frame.begin() + kNetHeaderBytes, wire_frame.end()); }

  memory::GuestMemory ram = *memory::GuestMemory::create(64 * memory::kMiB, memory::Pages::kSmall);
  UniqueFd wire;
  UniqueFd peer;
  RingBuilder rx{ram, {0x10000}, 64};
  RingBuilder tx{ram, {0x20000}, 64};
  RingBuilder control{ram, {0x30000}, 16};
  uint64_t rx_offered = 0;
  std::unique_ptr<Vmm> vmm;
};

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

TEST_F(VirtioNetTest, frames_go_both_ways) {
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

TEST_F(VirtioNetTest, a_back_end_without_header_sees_bare_frames) {
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

TEST_F(VirtioNetTest, a_long_frame_takes_as_many_mergeable_buffers_as_it_needs) {
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

TEST_F(VirtioNetTest, a_frame_longer_than_the_room_waits_and_moves_with_the_state) {
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

TEST_F(VirtioNetTest, a_frame_that_can_never_fit_is_dropped_and_counted) {
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

TEST_F(VirtioNetTest, no_frame_is_lost_while_the_driver_is_slow) {
  for (uint64_t events : {uint64_t{0}, virtio::kFeatureEventIdx}) {
    power_on();
    restart_rings();
    start_driver(events);
    for (int i = 0; i < 200; ++i) {
      inject(frame_of(60, static_cast<uint8_t>(i)));
      if (i % 3 == 2) std::this_thread::sleep_for(100us);
      uint64_t buffer = offer_rx(2048);
      if (events == 0 ? rx.used_flags() == 0 : rx.avail_event() == static_cast<uint16_t>(rx.avail() - 1)) kick(0);
      ASSERT_TRUE(eventually([&] { return rx.used() == i + 1; })) << i;
      EXPECT_EQ(guest_bytes(buffer + kNetHeaderBytes, 60), frame_of(60, static_cast<uint8_t>(i)));
      rx.set_used_event(rx.used());
    }
    vmm.reset();
  }
}

TEST_F(VirtioNetTest, a_blocked_transmit_is_tried_again) {
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

TEST_F(VirtioNetTest, a_frozen_device_touches_nothing_and_a_thawed_one_looks_at_everything) {
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

TEST_F(VirtioNetTest, traffic_goes_on_in_another_process) {
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

TEST_F(VirtioNetTest, a_less_able_back_end_is_refused) {
  power_on();
  start_driver(kNetGuestCsum | kNetGuestTso4);
  vmm->freeze();
  Vmm next(ram, wire.get(), false, nic());
  auto loaded = next.load(vmm->save());
  ASSERT_FALSE(loaded);
  EXPECT_NE(loaded.error().message().find("back end"), std::string::npos);
}

TEST_F(VirtioNetTest, a_broken_ring_needs_a_reset_and_works_after_it) {
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

TEST_F(VirtioNetTest, a_reset_under_traffic_stops_the_queues_before_it_completes) {
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
    Bytes drained(2048);
    while (::recv(peer.get(), drained.data(), drained.size(), MSG_DONTWAIT) > 0) {
    }
  }
}

TEST_F(VirtioNetTest, freezing_and_resetting_at_once_does_not_deadlock) {
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

TEST_F(VirtioNetTest, link_down_drops_frames_and_tells_the_guest) {
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

TEST_F(VirtioNetTest, an_announcement_stands_until_the_driver_acknowledges_it) {
  power_on();
  start_driver(0);
  EXPECT_FALSE(vmm->net->announce()) << "not negotiated";
  start_driver(kNetCtrlVq | kNetGuestAnnounce);
  ASSERT_TRUE(vmm->net->announce());
  EXPECT_EQ(vmm->mmio.read(kBar + 0x2006, 2), 3u);
  auto command = [&](uint8_t group, uint8_t code) {
    ram.write({kControl}, Bytes{group, code, 0xff});
    uint16_t before = control.used();
    control.offer({{kControl, 2}, {kControl + 2, 1, true}});
    kick(2);
    EXPECT_TRUE(eventually([&] { return control.used() != before; }));
    return guest_bytes(kControl + 2, 1)[0];
  };
  EXPECT_EQ(command(4, 0), 1) << "queue pairs: not offered";
  EXPECT_EQ(vmm->mmio.read(kBar + 0x2006, 2), 3u);
  EXPECT_EQ(command(3, 0), 0);
  EXPECT_EQ(vmm->mmio.read(kBar + 0x2006, 2), 1u);
}

TEST_F(VirtioNetTest, system_reset_brings_back_the_power_on_state) {
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

}  // namespace
}  // namespace pagurus::device
