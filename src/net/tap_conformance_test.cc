// TAPs in a network namespace of the test's own, through the tests of every back end.
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstring>
#include <thread>

#include "net/tap.h"
#include "net/testing/backend_conformance.h"
#include "net/testing/helper_program.h"

namespace pagurus::net::testing {
namespace {

Result<void> bring_up(const char* name) {
  UniqueFd control(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  std::strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  if (::ioctl(control.get(), SIOCGIFFLAGS, &request) != 0) return fail_errno(errno, "cannot look at '{}'", name);
  request.ifr_flags |= IFF_UP;
  if (::ioctl(control.get(), SIOCSIFFLAGS, &request) != 0) return fail_errno(errno, "cannot bring '{}' up", name);
  return {};
}

// Once for the whole program; its other tests find a loopback of their own as well.
Result<void> enter_network_namespace() {
  static const bool entered = ::unshare(CLONE_NEWNET) == 0 || ::unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0;
  static const int error = entered ? 0 : errno;
  if (!entered) return fail_errno(error, "no network namespace for TAPs");
  return bring_up("lo");
}

class TapRig final : public Rig {
 public:
  static Result<std::unique_ptr<Rig>> make_rig(TapConfig config, int flags) {
    TRY(enter_network_namespace());
    std::unique_ptr<TapRig> rig(new TapRig(std::move(config), flags));
    TRY(rig->persist(1));
    TRY(bring_up(rig->config_.ifname.c_str()));
    rig->wire_ = UniqueFd(::socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, htons(ETH_P_IP)));
    sockaddr_ll address{.sll_family = AF_PACKET,
                        .sll_protocol = htons(ETH_P_IP),
                        .sll_ifindex = static_cast<int>(::if_nametoindex(rig->config_.ifname.c_str()))};
    if (::bind(rig->wire_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
      return fail_errno(errno, "cannot listen at '{}'", rig->config_.ifname);
    }
    // The queueing discipline drops everything until the kernel has noticed, later, that the TAP is open.
    int bypass = 1;
    if (::setsockopt(rig->wire_.get(), SOL_PACKET, PACKET_QDISC_BYPASS, &bypass, sizeof bypass) != 0) {
      return fail_errno(errno, "cannot bypass the queueing discipline");
    }
    return rig;
  }
  ~TapRig() override { (void)persist(0); }

  std::unique_ptr<Backend> make() override { return Tap::create(config_, named_); }
  void send(const Bytes& frame) override {
    EXPECT_EQ(::send(wire_.get(), frame.data(), frame.size(), 0), static_cast<ssize_t>(frame.size()));
  }
  std::optional<Bytes> receive() override {
    Bytes frame(2048);
    ssize_t size = ::recv(wire_.get(), frame.data(), frame.size(), 0);
    if (size < 0) return std::nullopt;
    frame.resize(static_cast<size_t>(size));
    return frame;
  }

 private:
  TapRig(TapConfig config, int flags) : config_(std::move(config)), flags_(flags) {}
  // Makes the TAP, or lets it go with its last queue.
  Result<void> persist(int on) {
    UniqueFd tap(::open("/dev/net/tun", O_RDWR | O_CLOEXEC));
    if (!tap) return fail_errno(errno, "cannot open /dev/net/tun");
    ifreq request{};
    request.ifr_flags = static_cast<short>(IFF_TAP | IFF_NO_PI | flags_);
    std::strncpy(request.ifr_name, config_.ifname.c_str(), IFNAMSIZ - 1);
    if (::ioctl(tap.get(), TUNSETIFF, &request) != 0 || ::ioctl(tap.get(), TUNSETPERSIST, on) != 0) {
      return fail_errno(errno, "cannot make TAP '{}'", config_.ifname);
    }
    return {};
  }

  TapConfig config_;
  int flags_;
  NamedFds named_;
  UniqueFd wire_;
};

Result<std::unique_ptr<Rig>> one_queue() { return TapRig::make_rig({.id = "n0", .ifname = "conform0"}, IFF_VNET_HDR); }
// Without RAM no ring is served, so that frames go through the ports.
Result<std::unique_ptr<Rig>> with_vhost() {
  return TapRig::make_rig({.id = "n0", .ifname = "conform0", .queues = 4, .vhost = true},
                          IFF_VNET_HDR | IFF_MULTI_QUEUE);
}
Result<std::unique_ptr<Rig>> without_header() {
  return TapRig::make_rig({.id = "n0", .ifname = "conform0", .vnet_hdr = false}, 0);
}

Result<std::unique_ptr<Rig>> four_queues() {
  return TapRig::make_rig({.id = "n0", .ifname = "conform0", .queues = 4}, IFF_VNET_HDR | IFF_MULTI_QUEUE);
}

// The helper takes the bridge's name for the TAP's.
Result<std::unique_ptr<Rig>> by_helper() {
  static const HelperProgram program(std::string(kPythonHelper) +
                                     "tap = os.open('/dev/net/tun', os.O_RDWR)\n"
                                     "fcntl.ioctl(tap, 0x400454CA, struct.pack('16sH22x', bridge.encode(), 0x5002))\n"
                                     "pass_on(tap)\n");
  BridgeHelper helper{.program = program.path(), .bridge = "conform0"};
  return TapRig::make_rig({.id = "n0", .ifname = "conform0", .helper = helper}, IFF_VNET_HDR);
}

}  // namespace

INSTANTIATE_TEST_SUITE_P(Tap, BackendConformance,
                         ::testing::Values(RigCase{"one_queue", &one_queue}, RigCase{"without_header", &without_header},
                                           RigCase{"four_queues", &four_queues}, RigCase{"with_vhost", &with_vhost},
                                           RigCase{"by_helper", &by_helper}),
                         rig_name);

namespace {

// A driver's queue pair, by hand, and the device's side of it.
class Rings {
 public:
  static constexpr uint16_t kSize = 16;

  explicit Rings(const memory::GuestMemory& memory) : memory_(memory) {
    for (UniqueFd* fd : {&kicks[0], &kicks[1], &calls[0], &calls[1], &error}) *fd = *make_eventfd();
  }
  std::vector<Ring> describe() const {
    std::vector<Ring> rings;
    for (unsigned queue : {0u, 1u}) {
      rings.push_back({.queue = queue,
                       .size = kSize,
                       .descriptors = base(queue),
                       .driver = avail(queue),
                       .device = used(queue),
                       .position = {},
                       .kick_fd = kicks[queue].get(),
                       .call_fd = calls[queue].get(),
                       .error_fd = error.get()});
    }
    return rings;
  }
  // The queue's buffer, for the `count`th time.
  void offer(unsigned queue, memory::GuestAddress at, uint32_t length, uint16_t count = 1) {
    constexpr uint16_t kWrite = 2;
    struct {
      uint64_t address;
      uint32_t length;
      uint16_t flags, next;
    } descriptor{at.value, length, queue == 0 ? kWrite : uint16_t{0}, 0};
    memory_.write_value(base(queue), descriptor);
    set_avail(queue, count);
  }
  void set_avail(unsigned queue, uint16_t index) {
    memory_.write_value(avail(queue) + 2, index);
    signal_eventfd(kicks[queue].get());
  }
  uint16_t used_index(unsigned queue) const { return *memory_.read_value<uint16_t>(used(queue) + 2); }

  static memory::GuestAddress used(unsigned queue) { return base(queue) + 0x2000; }

  std::array<UniqueFd, 2> kicks, calls;
  UniqueFd error;

 private:
  static memory::GuestAddress base(unsigned queue) { return {0x10'0000 + 0x10000 * queue}; }
  static memory::GuestAddress avail(unsigned queue) { return base(queue) + 0x1000; }
  const memory::GuestMemory& memory_;
};

bool comes_true(const std::function<bool()>& condition) {
  for (int i = 0; i < 5000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return false;
}

constexpr memory::GuestAddress kReceived{0x20'0000};
constexpr memory::GuestAddress kTransmitted{0x21'0000};

}  // namespace

TEST(TapWithVhost, the_kernel_serves_the_rings_and_tells_when_one_is_broken) {
  if (::access("/dev/vhost-net", R_OK | W_OK) != 0) GTEST_SKIP() << "no /dev/vhost-net here";
  auto rig = TapRig::make_rig({.id = "n0", .ifname = "conform0", .vhost = true}, IFF_VNET_HDR);
  if (!rig) GTEST_SKIP() << rig.error().message();
  auto memory = *memory::GuestMemory::create(memory::kMinRam, memory::Pages::kSmall);
  ASSERT_TRUE(memory.allocate());
  auto tap = (*rig)->make();
  ASSERT_TRUE(tap->ram_ready(memory));
  auto opened = tap->open();
  ASSERT_TRUE(opened) << opened.error().message();
  tap->thaw();
  RingServer& server = *tap->ring_server();
  Rings rings(memory);
  auto started = server.start(rings.describe(), ring_features_mask(), RingOrigin::kDriver);
  ASSERT_TRUE(started) << started.error().message();
  ASSERT_TRUE(server.resume());

  Bytes frame(kVnetHeaderSize + 64);
  frame[kVnetHeaderSize + 12] = 0x08;  // IPv4
  memory.write(kTransmitted, frame);
  rings.offer(1, kTransmitted, static_cast<uint32_t>(frame.size()));
  std::optional<Bytes> wire;
  ASSERT_TRUE(comes_true([&] { return (wire = (*rig)->receive()).has_value(); }));
  EXPECT_EQ(*wire, Bytes(frame.begin() + kVnetHeaderSize, frame.end()));
  // The interface that came up says things of its own to the guest.
  uint16_t received = 0;
  auto comes_back = [&] {
    (*rig)->send(*wire);
    Bytes arrived(frame.size());
    do {
      rings.offer(0, kReceived, 2048, ++received);
      if (!comes_true([&] { return rings.used_index(0) == received; })) return false;
      memory.read(kReceived, arrived);
    } while (Bytes(arrived.begin() + kVnetHeaderSize, arrived.end()) != *wire);
    return true;
  };
  ASSERT_TRUE(comes_back());

  EXPECT_FALSE(server.position(0).has_value());
  server.pause(PauseReason::kStop);
  EXPECT_EQ(server.position(0), (RingPosition{.avail = received, .used = received}));
  EXPECT_EQ(server.position(1), (RingPosition{.avail = 1, .used = 1}));

  ASSERT_TRUE(memory.start_dirty_log());
  auto logs = server.start_log();
  ASSERT_TRUE(logs) << logs.error().message();
  ASSERT_TRUE(server.resume());
  ASSERT_TRUE(comes_back());
  server.pause(PauseReason::kStop);
  server.collect_log();
  memory::PageBitmap written(memory.size() / memory::kPageSize);
  memory.take_dirty(written);
  EXPECT_TRUE(written.test(kReceived.value / memory::kPageSize));
  EXPECT_TRUE(written.test(Rings::used(0).value / memory::kPageSize));
  // Both used rings, the frame, and what this driver wrote itself.
  EXPECT_LE(written.count(), 6u);
  server.stop_log();
  memory.stop_dirty_log();

  ASSERT_TRUE(server.resume());
  EXPECT_FALSE(drain_eventfd(rings.error.get()));
  rings.set_avail(1, 1000);
  EXPECT_TRUE(comes_true([&] { return drain_eventfd(rings.error.get()); }));
  server.stop();
}

}  // namespace pagurus::net::testing
