// The stream and dgram back ends through the tests of every back end: over pairs of sockets, as a server and over UDP.
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <deque>

#include "base/socket.h"
#include "net/dgram.h"
#include "net/stream.h"
#include "net/testing/backend_conformance.h"
#include "net/testing/no_observer.h"

namespace pagurus::net::testing {
namespace {

struct Ends {
  UniqueFd ours;
  UniqueFd theirs;
};

Result<Ends> socket_pair(int type) {
  int ends[2];
  if (::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends) != 0) return fail_errno(errno, "no socket pair");
  return Ends{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

class StreamRig : public Rig {
 public:
  static Result<std::unique_ptr<Rig>> pair() {
    auto rig = std::make_unique<StreamRig>(schema::SocketAddress{schema::FdSocketAddress{"c"}}, false);
    auto ends = TRY(socket_pair(SOCK_STREAM));
    rig->fds_.add("c", std::move(ends.ours));
    rig->peer_.connect(std::move(ends.theirs), {});
    return rig;
  }
  static Result<std::unique_ptr<Rig>> server() {
    auto path = "/tmp/pagurus-conformance-" + std::to_string(::getpid());
    return std::make_unique<StreamRig>(schema::SocketAddress{schema::UnixSocketAddress{path}}, true);
  }

  StreamRig(schema::SocketAddress address, bool server) : address_(std::move(address)), server_(server) {
    loop_ = *event::Loop::create();
    attention_ = *make_eventfd();
    peer_.set_attention(attention_.get());
  }

  std::unique_ptr<Backend> make() override {
    return *Stream::create({.id = "n0", .addr = address_, .server = server_}, {fds_, *loop_, nobody_});
  }
  void send(const Bytes& frame) override {
    iovec part{const_cast<uint8_t*>(frame.data()), frame.size()};
    EXPECT_EQ(peer_.transmit({&part, 1}).status, IoStatus::kOk);
  }
  std::optional<Bytes> receive() override {
    (void)peer_.flush();
    Bytes frame(2048);
    iovec part{frame.data(), frame.size()};
    IoResult result = peer_.receive({&part, 1});
    if (result.status != IoStatus::kOk) return std::nullopt;
    frame.resize(result.bytes);
    return frame;
  }
  void turn() override {
    EXPECT_TRUE(loop_->turn(0).has_value());
    if (peer_.fd() >= 0 || !server_) return;
    auto connection = connect_unix(address_.as_unix()->path);
    if (connection && connection->error == 0) peer_.connect(std::move(connection->socket), {});
  }

 private:
  NamedFds fds_;
  std::unique_ptr<event::Loop> loop_;
  testing::NoObserver nobody_;
  schema::SocketAddress address_;
  bool server_;
  UniqueFd attention_;
  StreamPort peer_;
};

class DgramRig final : public Rig {
 public:
  static Result<std::unique_ptr<Rig>> pair() {
    auto rig = std::make_unique<DgramRig>();
    auto ends = TRY(socket_pair(SOCK_DGRAM));
    rig->fds_.add("c", std::move(ends.ours));
    rig->peer_ = std::move(ends.theirs);
    rig->config_ = {.id = "n0", .local = {schema::FdSocketAddress{"c"}}, .remote = {}};
    return rig;
  }
  static Result<std::unique_ptr<Rig>> by_path() {
    auto rig = std::make_unique<DgramRig>();
    auto path = "/tmp/pagurus-conformance-" + std::to_string(::getpid());
    rig->peer_ = TRY(bind_unix(path + "-peer", SOCK_DGRAM));
    rig->path_.take(rig->peer_.get(), path + "-peer");
    auto to = TRY(unix_address(path));
    std::memcpy(&rig->to_, &to, rig->to_size_ = sizeof to);
    rig->config_ = {.id = "n0",
                    .local = {schema::UnixSocketAddress{path}},
                    .remote = schema::SocketAddress{schema::UnixSocketAddress{path + "-peer"}}};
    return rig;
  }

  static Result<std::unique_ptr<Rig>> udp() {
    auto rig = std::make_unique<DgramRig>();
    rig->peer_ = UniqueFd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    auto theirs = TRY(bind_to_loopback(rig->peer_));
    // Free again when it is closed, and not given to the next who asks for any.
    UniqueFd probe(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    auto ours = TRY(bind_to_loopback(probe));
    std::memcpy(&rig->to_, &ours, rig->to_size_ = sizeof ours);
    rig->config_ = {.id = "n0", .local = inet(ours), .remote = inet(theirs)};
    return rig;
  }

  std::unique_ptr<Backend> make() override { return std::make_unique<Dgram>(config_, fds_); }
  void send(const Bytes& frame) override {
    waiting_.push_back(frame);
    turn();
  }
  std::optional<Bytes> receive() override {
    Bytes frame(2048);
    ssize_t size = ::recv(peer_.get(), frame.data(), frame.size(), MSG_DONTWAIT);
    if (size < 0) return std::nullopt;
    frame.resize(static_cast<size_t>(size));
    return frame;
  }
  // A path's queue is full with net.unix.max_dgram_qlen datagrams, of which there may be 10: the sender waits.
  void turn() override {
    const auto* to = to_size_ == 0 ? nullptr : reinterpret_cast<const sockaddr*>(&to_);
    for (; !waiting_.empty(); waiting_.pop_front()) {
      const Bytes& frame = waiting_.front();
      ssize_t size = ::sendto(peer_.get(), frame.data(), frame.size(), MSG_DONTWAIT, to, to_size_);
      if (size < 0 && errno == EAGAIN) return;
      EXPECT_EQ(size, static_cast<ssize_t>(frame.size())) << std::strerror(errno);
    }
  }

 private:
  static Result<sockaddr_in> bind_to_loopback(const UniqueFd& socket) {
    sockaddr_in address{.sin_family = AF_INET, .sin_port = 0, .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_zero = {}};
    socklen_t size = sizeof address;
    bool bound = ::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), size) == 0 &&
                 ::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0;
    if (!bound) return fail_errno(errno, "cannot bind to 127.0.0.1");
    return address;
  }
  static schema::SocketAddress inet(const sockaddr_in& address) {
    return {schema::InetSocketAddress{.host = "127.0.0.1", .port = std::to_string(ntohs(address.sin_port))}};
  }

  NamedFds fds_;
  std::deque<Bytes> waiting_;
  UniqueFd peer_;
  BoundPath path_;
  sockaddr_storage to_{};
  socklen_t to_size_ = 0;  // 0: the peer is connected
  DgramConfig config_;
};

INSTANTIATE_TEST_SUITE_P(Stream, BackendConformance,
                         ::testing::Values(RigCase{"pair", &StreamRig::pair}, RigCase{"server", &StreamRig::server}),
                         rig_name);
INSTANTIATE_TEST_SUITE_P(Dgram, BackendConformance,
                         ::testing::Values(RigCase{"pair", &DgramRig::pair}, RigCase{"path", &DgramRig::by_path},
                                           RigCase{"udp", &DgramRig::udp}),
                         rig_name);

}  // namespace
}  // namespace pagurus::net::testing
