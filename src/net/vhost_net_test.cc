// vhost-net where it cannot be had: what is no vhost device is refused, and what could still come is waited for.
#include "net/vhost_net.h"

#include <fcntl.h>
#include <gtest/gtest.h>

namespace pagurus::net {
namespace {

struct Given {
  Given() : memory(*memory::GuestMemory::create(memory::kMinRam, memory::Pages::kSmall)) {
    fds.add("null", UniqueFd(::open("/dev/null", O_RDWR | O_CLOEXEC)));
  }
  // What is sent early by a source that may lend nothing, or only /dev/null.
  Result<void> adopt(VhostNetEarlyState state) {
    vmstate::Writer writer;
    vmstate::write_state(writer, state);
    std::vector<UniqueFd> sent;
    for (int fd : writer.fds()) sent.push_back(*duplicate(fd));
    vmstate::Reader reader(writer.bytes(), std::move(sent));
    return vhost.adopt_early(reader);
  }

  memory::GuestMemory memory;
  NamedFds fds;
  VhostNet vhost{{.netdev = "n0", .fds = {"null"}}, fds, [](unsigned) { return -1; }};
};

TEST(VhostNet, a_descriptor_of_something_else_is_refused) {
  Given given;
  auto ready = given.vhost.ram_ready(given.memory);
  ASSERT_FALSE(ready.has_value());
  EXPECT_TRUE(ready.error().message().starts_with("netdev 'n0': vhost=on: file descriptor "))
      << ready.error().message();
  EXPECT_TRUE(ready.error().message().ends_with(" is not an open /dev/vhost-net")) << ready.error().message();
}

TEST(VhostNet, who_has_none_and_is_lent_none_says_why_on_both_sides) {
  Given given;
  given.vhost.try_ram_ready(given.memory);
  auto adopted = given.adopt({.devices = {}, .reason = "cannot open it"});
  ASSERT_FALSE(adopted.has_value());
  EXPECT_TRUE(adopted.error().message().ends_with("; and the source has none to lend: cannot open it"));
}

TEST(VhostNet, what_is_lent_is_looked_at) {
  Given given;
  given.vhost.try_ram_ready(given.memory);
  UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  VhostNetEarlyState state;
  state.devices.push_back(vmstate::Fd::lend(null.get()));
  EXPECT_FALSE(given.adopt(std::move(state)).has_value());
  VhostNetEarlyState twice;
  twice.devices.push_back(vmstate::Fd::lend(null.get()));
  twice.devices.push_back(vmstate::Fd::lend(null.get()));
  auto adopted = given.adopt(std::move(twice));
  ASSERT_FALSE(adopted.has_value());
  EXPECT_EQ(adopted.error().message(), "netdev 'n0': vhost=on: 2 vhost-net devices for 1 queue pairs");
}

TEST(VhostNet, without_devices_no_ring_is_served_and_every_feature_is_thought_possible) {
  Given given;
  EXPECT_EQ(given.vhost.ring_features(), ~uint64_t{0});
  EXPECT_FALSE(given.vhost.start({}, 0, RingOrigin::kDriver).has_value());
  EXPECT_FALSE(given.vhost.position(0).has_value());
  given.vhost.pause(PauseReason::kStop);
  given.vhost.stop();
}

}  // namespace
}  // namespace pagurus::net
