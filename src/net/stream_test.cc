// The stream back end against the other end of a socket: framing, connections, and what moves.  Moving as such
// is sockets_conformance_test.cc's business.
#include "net/stream.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

#include "base/socket.h"
#include "net/stream_state.h"
#include "net/testing/no_observer.h"
#include "qapi/keyval.h"

namespace pagurus::net {
namespace {

using Bytes = std::vector<uint8_t>;

struct Events final : testing::NoObserver {
  std::string seen;
  void netdev_connected(const std::string&, const schema::SocketAddress&) override { seen += "+"; }
  void netdev_disconnected(const std::string&) override { seen += "-"; }
};

// Counts how often it was held still.
struct FrontEnd final : BackendListener {
  int holds = 0;
  int changes = 0;
  void hold_still(const std::function<void()>& change) override {
    ++holds;
    change();
  }
  void connection_changed() override { ++changes; }
};

Bytes framed(const Bytes& body) {
  Bytes bytes(4);
  uint32_t length = htonl(static_cast<uint32_t>(body.size()));
  std::memcpy(bytes.data(), &length, 4);
  bytes.insert(bytes.end(), body.begin(), body.end());
  return bytes;
}

class StreamTest : public ::testing::Test {
 protected:
  void SetUp() override {
    path_ = "/tmp/pagurus-stream-" + std::to_string(::getpid());
    loop_ = *event::Loop::create();
  }
  void TearDown() override { ::unlink(path_.c_str()); }

  Result<StreamConfig> parse(const std::string& text) {
    auto options = TRY(qapi::from_keyval<schema::Netdev>("stream,id=n0," + text));
    return StreamConfig::from(options.id, *options.as_stream());
  }
  std::unique_ptr<Stream> make(const std::string& text) {
    auto stream = *Stream::create(*parse(text), {fds_, *loop_, events_});
    stream->set_listener(&front_end_);
    return stream;
  }
  std::string unix_path() const { return "addr.type=unix,addr.path=" + path_; }
  // A connected back end and the other end of its socket.
  UniqueFd connect(std::unique_ptr<Stream>& stream, int send_buffer = 0) {
    int ends[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    if (send_buffer != 0) ::setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &send_buffer, sizeof send_buffer);
    fds_.add("c", UniqueFd(ends[0]));
    stream = make("addr.type=fd,addr.str=c");
    EXPECT_TRUE(stream->open().has_value());
    stream->thaw();
    return UniqueFd(ends[1]);
  }
  // Turns the loop until the condition holds, for a good while.
  template <class Condition>
  void turn_until(Condition condition) {
    for (int i = 0; i < 20'000 && !condition(); ++i) ASSERT_TRUE(loop_->turn(500).has_value());
    EXPECT_TRUE(condition());
  }
  static Bytes receive(Port& port, IoStatus expected = IoStatus::kOk, size_t room = 70'000) {
    Bytes first(std::min<size_t>(room, 7)), second(room - first.size());
    std::array parts{iovec{first.data(), first.size()}, iovec{second.data(), second.size()}};
    IoResult result = port.receive(parts);
    EXPECT_EQ(result.status, expected);
    first.insert(first.end(), second.begin(), second.end());
    first.resize(result.bytes);
    return first;
  }
  static IoStatus transmit(Port& port, Bytes frame) {
    iovec part{frame.data(), frame.size()};
    return port.transmit({&part, 1}).status;
  }
  static void send(const UniqueFd& peer, const Bytes& bytes) {
    ASSERT_EQ(::write(peer.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  }
  // Hands `from` over to a new back end with the same options.
  std::unique_ptr<Stream> move(
      Stream& from, const std::string& text, const std::function<void()>& in_between = [] {}) {
    from.freeze();
    vmstate::Writer writer;
    EXPECT_TRUE(from.save(writer).has_value());
    std::vector<UniqueFd> fds;
    for (int fd : writer.fds()) fds.push_back(*duplicate(fd));
    vmstate::Reader reader(writer.bytes(), std::move(fds));
    in_between();
    auto to = make(text);
    auto adopted = to->adopt(reader);
    EXPECT_TRUE(adopted.has_value()) << adopted.error().message();
    from.release();
    connected_when_adopted_ = to->connected();
    to->thaw();
    return to;
  }

  bool connected_when_adopted_ = false;
  NamedFds fds_;
  std::unique_ptr<event::Loop> loop_;
  Events events_;
  FrontEnd front_end_;
  std::string path_;
};

TEST_F(StreamTest, contradictions_are_refused_by_name) {
  EXPECT_EQ(parse("addr.type=unix,addr.path=/a,server=on,reconnect-ms=5").error().message(),
            "netdev 'n0': reconnect-ms is for a client that knows where to connect: invalid with server=on and "
            "addr.type=fd");
  EXPECT_FALSE(parse("addr.type=unix,addr.path=/a,reconnect-ms=-1").has_value());
  EXPECT_EQ(parse("server=on").error().message(), "Parameter 'addr' is missing");
}

TEST_F(StreamTest, frames_come_whole_however_they_were_cut) {
  std::unique_ptr<Stream> stream;
  UniqueFd peer = connect(stream);
  Port& port = stream->port(0);
  Bytes stream_bytes;
  for (uint8_t i = 1; i < 6; ++i) {
    Bytes one = framed(Bytes(i * 5u, i));
    stream_bytes.insert(stream_bytes.end(), one.begin(), one.end());
  }
  uint8_t next = 1;
  for (uint8_t byte : stream_bytes) {
    send(peer, {byte});
    std::array<uint8_t, 100> buffer{};
    iovec part{buffer.data(), buffer.size()};
    IoResult result = port.receive({&part, 1});
    if (result.status != IoStatus::kOk) continue;
    EXPECT_EQ(Bytes(buffer.begin(), buffer.begin() + result.bytes), Bytes(next * 5u, next));
    ++next;
  }
  EXPECT_EQ(next, 6);
}

TEST_F(StreamTest, frames_that_come_together_are_taken_one_by_one_and_cut_to_the_room) {
  std::unique_ptr<Stream> stream;
  UniqueFd peer = connect(stream);
  Port& port = stream->port(0);
  send(peer, framed(Bytes(100, 1)));
  send(peer, framed(Bytes(1500, 2)));
  send(peer, framed(Bytes(1, 3)));
  EXPECT_EQ(receive(port, IoStatus::kOk, 60), Bytes(60, 1));
  EXPECT_EQ(receive(port), Bytes(1500, 2));
  EXPECT_EQ(receive(port), Bytes(1, 3));
  receive(port, IoStatus::kWouldBlock);
}

TEST_F(StreamTest, a_frame_of_very_many_pieces_is_received_and_sent) {
  std::unique_ptr<Stream> stream;
  UniqueFd peer = connect(stream);
  Port& port = stream->port(0);
  Bytes buffer(1024);
  std::vector<iovec> parts;
  for (uint8_t& byte : buffer) parts.push_back({&byte, 1});
  send(peer, framed(Bytes(1024, 9)));
  EXPECT_EQ(port.receive(parts).bytes, 1024u);
  EXPECT_EQ(buffer, Bytes(1024, 9));
  EXPECT_EQ(port.transmit(parts).status, IoStatus::kOk);
  Bytes sent(1028);
  EXPECT_EQ(::read(peer.get(), sent.data(), sent.size()), 1028);
  EXPECT_EQ(sent, framed(Bytes(1024, 9)));
}

TEST_F(StreamTest, what_is_no_frame_length_ends_the_connection) {
  for (const Bytes& nonsense : {Bytes{0, 0, 0, 0}, Bytes{255, 255, 255, 255}, Bytes{0, 1, 16, 1}}) {
    std::unique_ptr<Stream> stream;
    UniqueFd peer = connect(stream);
    events_.seen.clear();
    send(peer, nonsense);
    receive(stream->port(0), IoStatus::kDropped);
    EXPECT_TRUE(stream->connected());
    turn_until([&] { return !stream->connected(); });
    EXPECT_EQ(events_.seen, "-");
    EXPECT_EQ(stream->port(0).fd(), -1);
    receive(stream->port(0), IoStatus::kWouldBlock);
    EXPECT_EQ(transmit(stream->port(0), Bytes(60, 1)), IoStatus::kDropped);
    char byte = 0;
    EXPECT_EQ(::read(peer.get(), &byte, 1), 0);
  }
}

TEST_F(StreamTest, a_length_that_is_none_and_was_read_ahead_does_not_keep_the_guest_from_moving) {
  std::unique_ptr<Stream> stream;
  UniqueFd peer = connect(stream);
  Bytes bytes = framed(Bytes(60, 1));
  bytes.insert(bytes.end(), 4, 0xff);
  send(peer, bytes);
  EXPECT_EQ(receive(stream->port(0)), Bytes(60, 1));
  stream = move(*stream, "addr.type=fd,addr.str=c");
  EXPECT_FALSE(stream->connected());
}

TEST_F(StreamTest, what_a_full_socket_did_not_take_follows_without_another_frame) {
  std::unique_ptr<Stream> stream;
  UniqueFd peer = connect(stream, 4608);
  Port& port = stream->port(0);
  Bytes expected;
  for (uint8_t i = 0;; ++i) {
    Bytes frame(60'000, i);
    if (transmit(port, frame) != IoStatus::kOk) break;
    Bytes bytes = framed(frame);
    expected.insert(expected.end(), bytes.begin(), bytes.end());
  }
  Bytes got;
  turn_until([&] {
    Bytes some(100'000);
    ssize_t size = 0;
    while ((size = ::recv(peer.get(), some.data(), some.size(), MSG_DONTWAIT)) > 0) {
      got.insert(got.end(), some.begin(), some.begin() + size);
    }
    return got.size() >= expected.size();
  });
  EXPECT_EQ(got, expected);
}

TEST_F(StreamTest, parts_of_frames_in_both_directions_move_with_the_connection) {
  std::unique_ptr<Stream> stream;
  UniqueFd peer = connect(stream, 4608);
  Bytes whole = framed(Bytes(1000, 5));
  for (size_t cut : {2u, 4u, 500u, 1003u}) {
    send(peer, Bytes(whole.begin(), whole.begin() + cut));
    receive(stream->port(0), IoStatus::kWouldBlock);
    Bytes frame(60'000, static_cast<uint8_t>(cut));
    ASSERT_EQ(transmit(stream->port(0), frame), IoStatus::kOk);
    stream = move(*stream, "addr.type=fd,addr.str=c");
    send(peer, Bytes(whole.begin() + cut, whole.end()));
    EXPECT_EQ(receive(stream->port(0)), Bytes(1000, 5));
    Bytes got;
    turn_until([&] {
      Bytes some(100'000);
      ssize_t size = 0;
      while ((size = ::recv(peer.get(), some.data(), some.size(), MSG_DONTWAIT)) > 0) {
        got.insert(got.end(), some.begin(), some.begin() + size);
      }
      return got.size() >= frame.size() + 4;
    });
    EXPECT_EQ(got, framed(frame));
  }
}

TEST_F(StreamTest, a_server_takes_one_peer_after_the_other_and_its_path_moves) {
  auto server = make(unix_path() + ",server=on");
  ASSERT_TRUE(server->open().has_value());
  server->thaw();
  auto first = connect_unix(path_);
  auto second = connect_unix(path_);
  turn_until([&] { return server->connected(); });
  EXPECT_EQ(events_.seen, "+");
  first->socket.reset();
  receive(server->port(0), IoStatus::kDropped);
  turn_until([&] { return events_.seen == "+-+"; });
  int holds = front_end_.holds;
  EXPECT_EQ(holds, 3);
  EXPECT_EQ(front_end_.changes, 3);
  auto moved = move(*server, unix_path() + ",server=on");
  server.reset();
  EXPECT_EQ(::access(path_.c_str(), F_OK), 0);
  EXPECT_TRUE(moved->connected());
  send(second->socket, framed(Bytes(60, 4)));
  EXPECT_EQ(receive(moved->port(0)), Bytes(60, 4));
  moved.reset();
  EXPECT_NE(::access(path_.c_str(), F_OK), 0);
}

TEST_F(StreamTest, a_client_connects_again_also_after_it_has_moved_alone) {
  auto listener = std::make_unique<UnixListener>(*UnixListener::bind(path_));
  auto client = make(unix_path() + ",reconnect-ms=1");
  ASSERT_TRUE(client->open().has_value());
  client->thaw();
  EXPECT_TRUE(client->connected());
  auto peer = *listener->accept();
  listener.reset();
  peer.reset();
  receive(client->port(0), IoStatus::kDropped);
  turn_until([&] { return !client->connected(); });
  client = move(*client, unix_path() + ",reconnect-ms=1");
  EXPECT_FALSE(client->connected());
  listener = std::make_unique<UnixListener>(*UnixListener::bind(path_));
  turn_until([&] { return client->connected(); });
  EXPECT_EQ(events_.seen, "+-+");
}

TEST_F(StreamTest, a_client_whose_peer_went_while_it_moved_connects_again) {
  auto listener = *listen_tcp({"127.0.0.1", "0"});
  sockaddr_in address{};
  socklen_t size = sizeof address;
  ::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size);
  std::string options =
      "addr.type=inet,addr.host=127.0.0.1,reconnect-ms=1,addr.port=" + std::to_string(ntohs(address.sin_port));
  auto client = make(options);
  ASSERT_TRUE(client->open().has_value());
  client->thaw();
  turn_until([&] { return client->connected(); });
  UniqueFd peer(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  client = move(*client, options, [&] { peer.reset(); });
  EXPECT_FALSE(connected_when_adopted_);
  turn_until([&] { return client->connected(); });
  EXPECT_EQ(events_.seen, "+-+");
  EXPECT_TRUE(UniqueFd(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC)));
}

TEST_F(StreamTest, a_server_whose_peer_went_while_it_moved_takes_the_next) {
  auto server = make(unix_path() + ",server=on");
  ASSERT_TRUE(server->open().has_value());
  server->thaw();
  auto first = connect_unix(path_);
  turn_until([&] { return server->connected(); });
  auto second = connect_unix(path_);
  server = move(*server, unix_path() + ",server=on", [&] { first->socket.reset(); });
  EXPECT_FALSE(connected_when_adopted_);
  turn_until([&] { return server->connected(); });
  EXPECT_EQ(events_.seen, "+-+");
  send(second->socket, framed(Bytes(60, 4)));
  EXPECT_EQ(receive(server->port(0)), Bytes(60, 4));
}

TEST_F(StreamTest, what_a_peer_sent_before_it_went_arrives_after_the_move) {
  std::unique_ptr<Stream> stream;
  UniqueFd peer = connect(stream);
  stream = move(*stream, "addr.type=fd,addr.str=c", [&] {
    send(peer, framed(Bytes(60, 4)));
    peer.reset();
  });
  EXPECT_TRUE(connected_when_adopted_);
  EXPECT_EQ(receive(stream->port(0)), Bytes(60, 4));
  receive(stream->port(0), IoStatus::kDropped);
  turn_until([&] { return !stream->connected(); });
}

TEST_F(StreamTest, a_client_that_finds_nobody_fails_unless_it_may_try_again) {
  auto client = make(unix_path());
  EXPECT_FALSE(client->open().has_value());
  EXPECT_TRUE(client->pending());
  EXPECT_TRUE(make(unix_path() + ",reconnect-ms=1000")->open().has_value());
}

TEST_F(StreamTest, tcp_listens_and_connects) {
  int probe = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t size = sizeof address;
  ASSERT_EQ(::bind(probe, reinterpret_cast<sockaddr*>(&address), size), 0);
  ::getsockname(probe, reinterpret_cast<sockaddr*>(&address), &size);
  ::close(probe);
  std::string addr = "addr.type=inet,addr.host=127.0.0.1,addr.port=" + std::to_string(ntohs(address.sin_port));
  auto client = make(addr + ",reconnect-ms=1");
  auto server = make(addr + ",server=on");
  ASSERT_TRUE(client->open().has_value());
  client->thaw();
  ASSERT_TRUE(server->open().has_value());
  server->thaw();
  turn_until([&] { return client->connected() && server->connected(); });
  EXPECT_EQ(transmit(client->port(0), Bytes(60, 7)), IoStatus::kOk);
  bool arrived = false;
  turn_until([&] {
    Bytes buffer(100);
    iovec part{buffer.data(), buffer.size()};
    arrived = arrived || server->port(0).receive({&part, 1}).bytes == 60;
    return arrived;
  });
}

TEST_F(StreamTest, what_arrives_is_checked) {
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  UniqueFd one(ends[0]), other(ends[1]);
  auto refused = [&](const StreamState& state, const std::string& options) {
    vmstate::Writer writer;
    vmstate::write_state(writer, state);
    std::vector<UniqueFd> fds;
    for (int fd : writer.fds()) fds.push_back(*duplicate(fd));
    vmstate::Reader reader(writer.bytes(), std::move(fds));
    auto stream = make(options);
    auto adopted = stream->adopt(reader);
    EXPECT_TRUE(stream->pending());
    return adopted ? "" : adopted.error().message();
  };
  auto connection = [&] {
    StreamState state;
    state.connection.push_back(vmstate::Fd::lend(one.get()));
    return state;
  };
  EXPECT_NE(refused(connection(), "addr.type=inet,addr.host=::1,addr.port=1").find("another kind"), std::string::npos);
  StreamState state = connection();
  state.received = framed(Bytes(3, 1));
  EXPECT_NE(refused(state, unix_path()).find("more was received"), std::string::npos);
  state.received = {0, 0, 0, 0};
  EXPECT_NE(refused(state, unix_path()).find("0 bytes was begun"), std::string::npos);
  state = StreamState{};
  state.unsent = {1};
  EXPECT_NE(refused(state, unix_path()).find("no connection"), std::string::npos);
  state = StreamState{.server = true};
  EXPECT_NE(refused(state, unix_path() + ",server=on").find("without a listening"), std::string::npos);
  state.listener.push_back(vmstate::Fd::lend(one.get()));
  EXPECT_NE(refused(state, unix_path() + ",server=on").find("not a listening"), std::string::npos);
  EXPECT_NE(refused(StreamState{.connecting = true}, unix_path() + ",server=on").find("is a client"),
            std::string::npos);
}

}  // namespace
}  // namespace pagurus::net
