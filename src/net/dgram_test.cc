// The dgram back end: option parsing, and what arrives is checked.  Moving is sockets_conformance_test.cc's business.
#include "net/dgram.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <ctime>

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

TEST(Dgram, empty_datagrams_are_no_frames_and_hold_nobody_up) {
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends), 0);
  NamedFds fds;
  fds.add("c", UniqueFd(ends[0]));
  UniqueFd peer(ends[1]);
  Dgram dgram(*parse(",local.type=fd,local.str=c"), fds);
  ASSERT_TRUE(dgram.open());
  Port& port = dgram.port(0);
  std::array<uint8_t, 100> buffer{};
  iovec part{buffer.data(), buffer.size()};
  for (int i = 0; i < 100; ++i) ASSERT_EQ(::send(peer.get(), "", 0, MSG_DONTWAIT), 0);
  ASSERT_EQ(::send(peer.get(), buffer.data(), 60, MSG_DONTWAIT), 60);
  EXPECT_EQ(port.receive({&part, 1}).status, IoStatus::kWouldBlock);
  EXPECT_EQ(port.receive({&part, 1}).bytes, 60u);
}

TEST(Dgram, a_peer_that_was_not_there_is_no_lasting_failure) {
  UniqueFd peer(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{.sin_family = AF_INET, .sin_port = 0, .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_zero = {}};
  socklen_t size = sizeof address;
  ASSERT_EQ(::bind(peer.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  ::getsockname(peer.get(), reinterpret_cast<sockaddr*>(&address), &size);
  UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  peer.reset();
  NamedFds fds;
  fds.add("c", std::move(socket));
  Dgram dgram(*parse(",local.type=fd,local.str=c"), fds);
  ASSERT_TRUE(dgram.open());
  Port& port = dgram.port(0);
  std::array<uint8_t, 60> buffer{};
  iovec part{buffer.data(), buffer.size()};
  EXPECT_EQ(port.transmit({&part, 1}).status, IoStatus::kOk);
  pollfd ready{.fd = port.fd(), .events = POLLIN, .revents = 0};
  ASSERT_EQ(::poll(&ready, 1, -1), 1);
  EXPECT_NE(ready.revents & POLLERR, 0);
  EXPECT_EQ(port.failure(), PortFailure::kPassing);
  EXPECT_EQ(::poll(&ready, 1, 0), 0);
  EXPECT_EQ(port.failure(), PortFailure::kLasting);
}

// Which would otherwise keep a processor busy for as long as its peer likes.
TEST(Dgram, waits_for_a_peer_whose_queue_is_full) {
  std::string path = "/tmp/pagurus-dgram-" + std::to_string(::getpid());
  UniqueFd peer = *bind_unix(path + "-peer", SOCK_DGRAM);
  BoundPath bound;
  bound.take(peer.get(), path + "-peer");
  NamedFds fds;
  Dgram dgram(*parse(",local.type=unix,remote.type=unix,local.path=" + path + ",remote.path=" + path + "-peer"), fds);
  ASSERT_TRUE(dgram.open());
  Port& port = dgram.port(0);
  std::array<uint8_t, 60> buffer{};
  iovec part{buffer.data(), buffer.size()};
  while (port.transmit({&part, 1}).status == IoStatus::kOk) {
  }
  auto now = [](clockid_t clock) {
    timespec time{};
    ::clock_gettime(clock, &time);
    return time.tv_sec * 1'000'000'000 + time.tv_nsec;
  };
  int64_t started = now(CLOCK_MONOTONIC), worked = now(CLOCK_THREAD_CPUTIME_ID);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(port.transmit({&part, 1}).status, IoStatus::kWouldBlock);
  EXPECT_LT(now(CLOCK_THREAD_CPUTIME_ID) - worked, (now(CLOCK_MONOTONIC) - started) / 2);
  EXPECT_EQ(::recv(peer.get(), buffer.data(), buffer.size(), 0), 60);
  EXPECT_EQ(port.transmit({&part, 1}).status, IoStatus::kOk);
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
