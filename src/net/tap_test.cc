// TAP without privileges: option parsing, and what is no TAP is refused.  Real TAPs are the
// functional tests' business.
#include "net/tap.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include "qapi/keyval.h"

namespace pagurus::net {
namespace {

Result<TapConfig> parse(const std::string& text) {
  auto options = TRY(qapi::from_keyval<schema::Netdev>("tap," + text));
  return TapConfig::from(options.id, *options.as_tap());
}

TEST(TapConfig, takes_every_documented_key) {
  auto config = parse("id=n0,ifname=tap0,script=/bin/up,downscript=no,vnet_hdr=off,sndbuf=1M");
  ASSERT_TRUE(config.has_value());
  EXPECT_EQ(config->ifname, "tap0");
  EXPECT_EQ(config->script, "/bin/up");
  EXPECT_FALSE(config->vnet_hdr);
  EXPECT_EQ(config->sndbuf, 1u << 20);
}

TEST(TapConfig, refuses_contradictions_and_unknown_keys_by_name) {
  EXPECT_EQ(parse("ifname=tap0").error().message(), "Parameter 'id' is missing");
  EXPECT_EQ(parse("id=n0,fd=3,ifname=tap0").error().message(),
            "netdev 'n0': ifname=, script= and downscript= are invalid with fd= and fds=");
  EXPECT_EQ(parse("id=n0,colour=red").error().message(), "Parameter 'colour' is unexpected");
  EXPECT_FALSE(parse("id=n0,ifname=a_name_longer_than_15").has_value());
  for (const char* other : {"fd=3", "helper=/h", "script=no", "downscript=/d"}) {
    EXPECT_EQ(parse(std::string("id=n0,local-incoming=on,") + other).error().message(),
              "netdev 'n0': local-incoming=on is invalid with fd=, fds=, helper=, script= and downscript=: the TAP "
              "arrives open and configured");
  }
}

TEST(TapConfig, takes_vhost_descriptors_with_vhost_only) {
  EXPECT_FALSE(parse("id=n0,ifname=tap0")->vhost);
  EXPECT_TRUE(parse("id=n0,ifname=tap0,vhostforce=on")->vhost);
  EXPECT_EQ(parse("id=n0,vhost=on,vhostfd=7")->vhost_fds, std::vector<std::string>{"7"});
  EXPECT_FALSE(parse("id=n0,ifname=tap0,vhost=off,vhostforce=on")->vhost);
  EXPECT_TRUE(parse("id=n0,vhostfd=7")->vhost);
  EXPECT_EQ(parse("id=n0,vhost=off,vhostfd=7").error().message(),
            "netdev 'n0': vhostfd= and vhostfds= are invalid with vhost=off");
  EXPECT_EQ(parse("id=n0,queues=2,vhostfds=7:8")->vhost_fds, (std::vector<std::string>{"7", "8"}));
  EXPECT_EQ(parse("id=n0,vhost=on,vhostfd=7,vhostfds=8").error().message(),
            "netdev 'n0': vhostfd= and vhostfds= are mutually exclusive");
  EXPECT_EQ(parse("id=n0,vhost=on,vhostfds=7:8").error().message(),
            "netdev 'n0': 2 vhost descriptors are given for 1 queues");
  EXPECT_EQ(parse("id=n0,vhost=on,vnet_hdr=off").error().message(),
            "netdev 'n0': vhost=on is invalid with vnet_hdr=off");
}

TEST(TapConfig, takes_a_helper_alone_and_a_bridge_with_it) {
  EXPECT_FALSE(parse("id=n0,ifname=tap0")->helper.has_value());
  auto config = parse("id=n0,helper=/opt/a b,br=lan,sndbuf=1M,vhostfd=7");
  ASSERT_TRUE(config.has_value()) << config.error().message();
  EXPECT_EQ(config->helper->program, "/opt/a b");
  EXPECT_EQ(config->helper->bridge, "lan");
  EXPECT_EQ(parse("id=n0,helper=/h")->helper->bridge, "br0");
  EXPECT_EQ(parse("id=n0,ifname=tap0,br=lan").error().message(),
            "netdev 'n0': br= is for a helper: give helper= too, or use type bridge");
  for (const char* other :
       {"fd=3", "fds=3:4", "queues=1", "ifname=t", "script=no", "downscript=no", "vnet_hdr=on", "vhostfds=7"}) {
    EXPECT_EQ(
        parse(std::string("id=n0,helper=/h,") + other).error().message(),
        "netdev 'n0': fd=, fds=, queues=, ifname=, script=, downscript=, vnet_hdr= and vhostfds= are invalid with "
        "helper=");
  }
  for (const char* bridge : {"", "a_name_longer_than_15"}) {
    auto refused = parse(std::string("id=n0,helper=/h,br=") + bridge);
    ASSERT_FALSE(refused.has_value());
    EXPECT_NE(refused.error().message().find("is no name of a bridge"), std::string::npos);
  }
}

TEST(TapConfig, type_bridge_is_a_tap_with_a_helper) {
  auto parse_bridge = [](const std::string& text) -> Result<TapConfig> {
    auto options = TRY(qapi::from_keyval<schema::Netdev>("bridge,id=n0" + text));
    return TapConfig::from(options.id, *options.as_bridge());
  };
  auto usual = parse_bridge("");
  ASSERT_TRUE(usual.has_value()) << usual.error().message();
  EXPECT_EQ(usual->id, "n0");
  EXPECT_EQ(usual->helper->program, "/usr/lib/qemu/qemu-bridge-helper");
  EXPECT_EQ(usual->helper->bridge, "br0");
  auto other = parse_bridge(",br=lan,helper=/h");
  EXPECT_EQ(other->helper->program, "/h");
  EXPECT_EQ(other->helper->bridge, "lan");
  EXPECT_FALSE(parse_bridge(",br=").has_value());
  EXPECT_EQ(parse_bridge(",ifname=t").error().message(), "Parameter 'ifname' is unexpected");
}

TEST(TapConfig, has_as_many_queues_as_descriptors_or_as_it_is_told) {
  EXPECT_EQ(parse("id=n0,ifname=tap0")->queues, 1u);
  EXPECT_EQ(parse("id=n0,ifname=tap0,queues=16")->queues, 16u);
  auto config = parse("id=n0,fds=3:name:5");
  ASSERT_TRUE(config.has_value());
  EXPECT_EQ(config->queues, 3u);
  EXPECT_EQ(config->fds, (std::vector<std::string>{"3", "name", "5"}));
  for (const char* queues : {"0", "17", "4294967295"}) {
    auto refused = parse(std::string("id=n0,ifname=tap0,queues=") + queues);
    ASSERT_FALSE(refused.has_value()) << queues;
    EXPECT_NE(refused.error().message().find("queues where 1 to 16 are possible"), std::string::npos);
  }
  EXPECT_FALSE(parse("id=n0,ifname=tap0,queues=-1").has_value());
  EXPECT_FALSE(parse("id=n0,ifname=tap0,queues=two").has_value());
  EXPECT_FALSE(parse("id=n0,fds=1:2:3:4:5:6:7:8:9:10:11:12:13:14:15:16:17").has_value());
  EXPECT_NE(parse("id=n0,fds=3:4,queues=2").error().message().find("queues= is invalid with fds="), std::string::npos);
  EXPECT_NE(parse("id=n0,fds=3:4,fd=5").error().message().find("mutually exclusive"), std::string::npos);
  EXPECT_NE(parse("id=n0,fds=3:4,ifname=t").error().message().find("ifname="), std::string::npos);
}

TEST(Tap, an_empty_place_among_descriptors_is_refused) {
  NamedFds fds;
  for (const char* list : {"", ":"}) {
    auto config = parse(std::string("id=n0,fds=") + list);
    EXPECT_FALSE(config && Tap::create(*config, fds)->open()) << list;
  }
}

TEST(Tap, an_fd_that_is_no_tap_is_refused) {
  NamedFds fds;
  fds.add("null", UniqueFd(::open("/dev/null", O_RDWR | O_CLOEXEC)));
  auto tap = Tap::create({.id = "n0", .fds = {"null"}}, fds);
  auto result = tap->open();
  ASSERT_FALSE(result.has_value());
  EXPECT_NE(result.error().message().find("is not a TAP"), std::string::npos) << result.error().message();
  EXPECT_TRUE(tap->pending());
}

TEST(Tap, a_name_that_getfd_never_gave_is_refused) {
  NamedFds fds;
  auto tap = Tap::create({.id = "n0", .fds = {"tapfd"}}, fds);
  EXPECT_EQ(tap->open().error().message(), "netdev 'n0': File descriptor named 'tapfd' has not been found");
}

TEST(Tap, a_missing_interface_is_named_with_the_remedy) {
  NamedFds fds;
  auto tap = Tap::create({.id = "n0", .ifname = "nosuchtap9"}, fds);
  EXPECT_EQ(tap->open().error().message(),
            "netdev 'n0': TAP 'nosuchtap9' does not exist (make it: ip tuntap add dev nosuchtap9 mode tap vnet_hdr)");
}

TEST(Tap, adopting_a_descriptor_that_is_no_tap_leaves_it_pending) {
  NamedFds fds;
  auto tap = Tap::create({.id = "n0", .ifname = "tap0"}, fds);
  vmstate::Writer writer;
  writer.put<uint32_t>(4);
  writer.put_bytes(std::array<uint8_t, 4>{'t', 'a', 'p', '0'});
  for (int i = 0; i < 10; ++i) writer.put<uint8_t>(i < 1 ? 1 : 0);
  writer.put<uint32_t>(0);
  std::vector<UniqueFd> received;
  received.emplace_back(::open("/dev/null", O_RDWR | O_CLOEXEC));
  vmstate::Reader reader(writer.bytes(), std::move(received));
  auto result = tap->adopt(reader);
  ASSERT_FALSE(result.has_value());
  EXPECT_NE(result.error().message().find("is not a TAP"), std::string::npos) << result.error().message();
  EXPECT_TRUE(tap->pending());
}

}  // namespace
}  // namespace pagurus::net
