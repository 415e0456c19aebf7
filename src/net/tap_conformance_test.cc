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

#include <cstring>

#include "net/tap.h"
#include "net/testing/backend_conformance.h"

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

}  // namespace

INSTANTIATE_TEST_SUITE_P(Tap, BackendConformance,
                         ::testing::Values(RigCase{"one_queue", &one_queue}, RigCase{"without_header", &without_header},
                                           RigCase{"four_queues", &four_queues}, RigCase{"with_vhost", &with_vhost}),
                         rig_name);

}  // namespace pagurus::net::testing
