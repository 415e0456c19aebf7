// The dgram back end: option parsing, and what arrives is checked.  Moving is sockets_conformance_test.cc's business.
#include "net/dgram.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include "qapi/keyval.h"

namespace pagurus::net {
namespace {

Result<DgramConfig> parse(const std::string& text) {
  auto options = TRY(qapi::from_keyval<schema::Netdev>("dgram,id=n0" + text));
  return DgramConfig::from(options.id, *options.as_dgram());
}

TEST(DgramConfig, refuses_contradictions_by_name) {
  EXPECT_NE(parse("").error().message().find("local= says where"), std::string::npos);
  EXPECT_NE(parse(",local.type=unix,local.path=/a").error().message().find("remote= says where"), std::string::npos);
  EXPECT_NE(parse(",local.type=fd,local.str=3,remote.type=unix,remote.path=/a").error().message().find("invalid with"),
            std::string::npos);
  EXPECT_NE(parse(",local.type=inet,local.host=,local.port=1,remote.type=unix,remote.path=/a")
                .error()
                .message()
                .find("differ"),
            std::string::npos);
}

TEST(Dgram, a_multicast_address_is_refused) {
  NamedFds fds;
  for (const char* host : {"230.0.0.1", "ff02::1"}) {
    Dgram dgram(*parse(",local.type=inet,local.host=,local.port=0,remote.type=inet,remote.port=1,remote.host=" +
                       std::string(host)),
                fds);
    auto opened = dgram.open();
    ASSERT_FALSE(opened.has_value());
    EXPECT_NE(opened.error().message().find("multicast"), std::string::npos) << opened.error().message();
  }
}

TEST(Dgram, what_arrives_is_checked) {
  NamedFds fds;
  int ends[2], streams[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends), 0);
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, streams), 0);
  UniqueFd one(ends[0]), other(ends[1]), stream(streams[0]), peer(streams[1]);
  auto adopted = [&](int fd, std::vector<uint8_t> remote, const std::string& options) {
    DgramState state{.socket = vmstate::Fd::lend(fd), .path = {}, .remote = std::move(remote)};
    vmstate::Writer writer;
    vmstate::write_state(writer, state);
    std::vector<UniqueFd> received;
    received.push_back(*duplicate(fd));
    vmstate::Reader reader(writer.bytes(), std::move(received));
    Dgram dgram(*parse(options), fds);
    bool good = dgram.adopt(reader).has_value();
    EXPECT_EQ(dgram.pending(), !good);
    return good;
  };
  std::string by_fd = ",local.type=fd,local.str=3";
  std::string by_path = ",local.type=unix,local.path=/a,remote.type=unix,remote.path=/b";
  std::string by_port = ",local.type=inet,local.host=,local.port=1,remote.type=inet,remote.host=::1,remote.port=1";
  EXPECT_TRUE(adopted(one.get(), {}, by_fd));
  EXPECT_TRUE(adopted(one.get(), {1, 0, '/', 'b'}, by_path));
  EXPECT_FALSE(adopted(one.get(), {}, by_path));
  EXPECT_FALSE(adopted(one.get(), {1}, by_path));
  EXPECT_FALSE(adopted(one.get(), {2, 0, 0, 0}, by_path));
  EXPECT_FALSE(adopted(one.get(), {1, 0, '/', 'b'}, by_port));
  EXPECT_FALSE(adopted(stream.get(), {}, by_fd));
}

}  // namespace
}  // namespace pagurus::net
