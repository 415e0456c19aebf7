// A virtio-net device as its driver, its network and its machine see it: for the tests beside this
// directory.  The network is a socketpair, so everything blocks, queues and polls as a kernel object
// does; the driver is a few register writes and three rings, of either layout.
#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <numeric>
#include <thread>

#include "device/virtio_net/features.h"
#include "device/virtio_net/virtio_net.h"
#include "pci/bus.h"
#include "pci/testing/fakes.h"
#include "virtio/testing/make_ring.h"

namespace pagurus::device::testing {

using namespace std::chrono_literals;
using virtio::testing::Buffer;
using virtio::testing::DriverRing;
using virtio::testing::Layout;
using virtio::testing::RingBuilder;
using Bytes = std::vector<uint8_t>;

inline bool eventually(const std::function<bool()>& condition) {
  for (int i = 0; i < 5000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(1ms);
  }
  return false;
}

inline const vmstate::Description& no_description() {
  static constexpr vmstate::Description kDescription{"socketpair", 1, {}};
  return kDescription;
}

// One end of a socketpair: one message is one frame.
class SocketPort final : public net::Port {
 public:
  explicit SocketPort(UniqueFd fd) : fd_(std::move(fd)) {}
  int fd() const override { return fd_.get(); }
  net::IoResult receive(std::span<const iovec> frame) override {
    return result(::readv(fd_.get(), frame.data(), static_cast<int>(frame.size())));
  }
  net::IoResult transmit(std::span<const iovec> frame) override {
    return result(::writev(fd_.get(), frame.data(), static_cast<int>(frame.size())));
  }

 private:
  static net::IoResult result(ssize_t bytes) {
    if (bytes >= 0) return {net::IoStatus::kOk, static_cast<size_t>(bytes)};
    return {errno == EAGAIN ? net::IoStatus::kWouldBlock : net::IoStatus::kDropped, 0};
  }
  UniqueFd fd_;
};

// A back end with a port for each of some descriptors.
class SocketBackend final : public net::Backend {
 public:
  SocketBackend(const std::vector<int>& fds, bool header, net::RingServer* server) : header_(header), server_(server) {
    for (int fd : fds) ports_.emplace_back(*duplicate(fd));
  }

  Result<const vmstate::Description*> movable() const override { return &no_description(); }
  void freeze() override {}
  Result<void> save(vmstate::Writer&) const override { return {}; }
  Result<void> adopt(vmstate::Reader&) override { return {}; }
  void thaw() override {}
  void release() override {}
  const std::string& id() const override { return id_; }
  std::string_view kind() const override { return "socketpair"; }
  bool announced() const override { return false; }
  bool pending() const override { return false; }
  Result<void> open() override { return {}; }
  bool vnet_header() const override { return header_; }
  net::Offloads offloads() const override { return able; }
  Result<void> set_offloads(const net::Offloads& offloads) override {
    agreed = offloads;
    ++set_offloads_calls;
    return {};
  }
  unsigned queue_pairs() const override { return static_cast<unsigned>(ports_.size()); }
  Result<void> set_active_pairs(unsigned pairs) override {
    active_pairs = pairs;
    ++set_active_pairs_calls;
    on_set_active_pairs();
    return {};
  }
  net::Port& port(unsigned pair) override { return ports_[pair]; }
  net::RingServer* ring_server() override { return server_; }
  bool connected() const override { return connected_; }
  void set_listener(net::BackendListener* listener) override { listener_ = listener; }
  void connect(bool connected) {
    connected_ = connected;
    listener_->connection_changed();
  }
  net::BackendListener& listener() { return *listener_; }

  net::Offloads able{.csum = true, .tso4 = true, .tso6 = true, .ecn = true};
  net::Offloads agreed;
  int set_offloads_calls = 0;
  unsigned active_pairs = 0;
  int set_active_pairs_calls = 0;
  std::function<void()> on_set_active_pairs = [] {};

 private:
  std::vector<SocketPort> ports_;
  bool header_;
  net::RingServer* server_;
  std::atomic<bool> connected_ = true;
  net::BackendListener* listener_ = nullptr;
  std::string id_ = "n0";
};

// One VMM process: its back end's descriptors and a device.  Guest RAM and the wires are shared.
struct Vmm {
  Vmm(const memory::GuestMemory& ram, int wire, bool header, VirtioNetConfig config)
      : Vmm(ram, std::vector{wire}, header, std::move(config)) {}
  Vmm(const memory::GuestMemory& ram, const std::vector<int>& wires, bool header, VirtioNetConfig config,
      net::RingServer* server = nullptr)
      : backend(wires, header, server),
        net(*VirtioNet::create({.config = std::move(config),
                                .backend = backend,
                                .memory = ram,
                                .mmio = mmio,
                                .msi = msi,
                                .doorbells = doorbells,
                                .on_rx_filter_changed = [this] { ++rx_filter_changes; }})) {
    EXPECT_TRUE(pci.add(net->function(), std::nullopt));
    EXPECT_TRUE(pci.assign_bars());
  }
  void freeze() {
    net->request_freeze();
    net->wait_frozen(net::PauseReason::kStop);
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
  std::atomic<int> rx_filter_changes = 0;
  pci::PciBus pci{mmio, {.base = 0xc000'0000, .size = 0x100'0000}};
  std::unique_ptr<VirtioNet> net;
};

inline VirtioNetConfig nic() { return {.id = "nic", .netdev = "n0", .mac = {0x52, 0x54, 0, 0x12, 0x34, 0x56}}; }

inline constexpr uint64_t kBar = 0xc000'0000;
inline constexpr uint64_t kNotify = kBar + 0x3000;
inline constexpr uint64_t kMsixBar = 0xc000'4000;
inline constexpr uint32_t kConfigMessage = 0x40;  // queue i: 0x41 + i
inline constexpr uint64_t kRxBuffers = 0x100'0000;
inline constexpr uint64_t kTxBuffers = 0x200'0000;
inline constexpr uint64_t kControl = 0x300'0000;

struct VirtioNetTest : ::testing::Test {
  explicit VirtioNetTest(Layout rings = Layout::kSplit) : layout(rings) {
    EXPECT_TRUE(ram.allocate());
    int ends[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    wire = UniqueFd(ends[0]);
    peer = UniqueFd(ends[1]);
    int bytes = 1 << 20;
    ::setsockopt(peer.get(), SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
  }

  // A device that offers the layout of our rings.
  VirtioNetConfig nic() const {
    VirtioNetConfig config = testing::nic();
    config.packed = layout == Layout::kPacked;
    return config;
  }
  // Packed rings need not be powers of two.
  std::unique_ptr<DriverRing> make_ring(uint64_t base, uint16_t size) const {
    return virtio::testing::make_ring(layout, ram, {base},
                                      static_cast<uint16_t>(layout == Layout::kPacked ? size - 3 : size));
  }
  void power_on() { power_on(nic()); }
  void power_on(VirtioNetConfig config, bool header = true) {
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
  // What a driver with our rings agrees to in any case.
  uint64_t basics() const {
    return virtio::kFeatureVersion1 | (layout == Layout::kPacked ? virtio::kFeatureRingPacked : 0);
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
    ASSERT_TRUE(negotiate(features | basics()));
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
  // Offers a command with room for its answer; returns where the answer comes.
  uint64_t post(DriverRing& ring, uint8_t group, uint8_t code, const Bytes& data) {
    uint64_t at = kControl + 0x10000 * (ring.avail() % 16);
    Bytes command{group, code};
    command.insert(command.end(), data.begin(), data.end());
    uint64_t answer = at + command.size();
    ram.write({at}, command);
    ram.write({answer}, Bytes{0xff});
    ring.offer({{at, static_cast<uint32_t>(command.size())}, {answer, 1, true}});
    return answer;
  }
  // The answer to a command to the control queue at `queue`.
  uint8_t command(uint8_t group, uint8_t code, const Bytes& data = {}, unsigned queue = 2) {
    uint16_t before = control.used();
    uint64_t answer = post(control, group, code, data);
    kick(queue);
    EXPECT_TRUE(eventually([&] { return control.used() != before; }));
    return guest_bytes(answer, 1)[0];
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
    size_t before = header ? kNetHeaderBytes : 0;
    Bytes whole(before + frame.size());
    std::ranges::copy(frame, whole.begin() + static_cast<ptrdiff_t>(before));
    ASSERT_EQ(::send(peer.get(), whole.data(), whole.size(), 0), static_cast<ssize_t>(whole.size())) << errno;
  }
  Bytes wire_frame() {
    Bytes frame(70000);
    ssize_t size = -1;
    eventually([&] { return (size = ::recv(peer.get(), frame.data(), frame.size(), MSG_DONTWAIT)) >= 0; });
    frame.resize(static_cast<size_t>(std::max<ssize_t>(size, 0)));
    return frame;
  }
  void drain_wire() {
    Bytes frame(2048);
    while (::recv(peer.get(), frame.data(), frame.size(), MSG_DONTWAIT) >= 0) {
    }
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
  const Layout layout;
  std::unique_ptr<DriverRing> rx_ring = make_ring(0x10000, 64);
  std::unique_ptr<DriverRing> tx_ring = make_ring(0x20000, 64);
  std::unique_ptr<DriverRing> control_ring = make_ring(0x30000, 16);
  DriverRing& rx = *rx_ring;
  DriverRing& tx = *tx_ring;
  DriverRing& control = *control_ring;
  uint64_t rx_offered = 0;
  std::unique_ptr<Vmm> vmm;
};

// For tests with both layouts of rings.
struct LayoutTest : VirtioNetTest, ::testing::WithParamInterface<Layout> {
  LayoutTest() : VirtioNetTest(GetParam()) {}
};

}  // namespace pagurus::device::testing
