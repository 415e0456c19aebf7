// The stream back end and its peer, a stranger: frames in pieces, frames that are none, and hand-overs in the middle of
// them.  Whatever comes, the guest is given exactly the frames that were sent, and the peer those of the guest.
#include <arpa/inet.h>
#include <sys/socket.h>

#include <cstring>
#include <memory>

#include "fuzz/input.h"
#include "fuzz/target.h"
#include "net/stream.h"
#include "net/testing/no_observer.h"

namespace pagurus::fuzz {
namespace {

// What an input consists of: a step, and a number or a piece behind some of them.
enum Step : uint8_t { kSend, kSendFrame, kReceive, kTransmit, kTakeSome, kTurn, kMove, kRollBack, kSteps };

Bytes framed(std::span<const uint8_t> body) {
  uint32_t length = htonl(static_cast<uint32_t>(body.size()));
  Bytes bytes(sizeof length);
  std::memcpy(bytes.data(), &length, sizeof length);
  bytes.insert(bytes.end(), body.begin(), body.end());
  return bytes;
}

class Wire {
 public:
  Wire() : loop_(*event::Loop::create()) {
    int ends[2];
    CHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0, "a socket pair");
    int small = 4608;
    ::setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    named_.add("c", UniqueFd(ends[0]));
    peer_ = UniqueFd(ends[1]);
    stream_ = make();
    CHECK(stream_->open().has_value(), "the back end takes its end");
    stream_->thaw();
  }

  bool connected() const { return stream_->connected(); }

  void send(std::span<const uint8_t> bytes) {
    ssize_t size = ::send(peer_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (size > 0) sent_.insert(sent_.end(), bytes.begin(), bytes.begin() + size);
  }

  void receive(size_t room) {
    Bytes buffer(room);
    size_t cut = room / 3;
    std::array parts{iovec{buffer.data(), cut}, iovec{buffer.data() + cut, room - cut}};
    net::IoResult result = stream_->port(0).receive(parts);
    auto rest = std::span(sent_).subspan(delivered_);
    uint32_t length = 0;
    if (rest.size() < net::kStreamLengthBytes) {
      CHECK(result.status == net::IoStatus::kWouldBlock, "there is no length yet");
      return;
    }
    std::memcpy(&length, rest.data(), sizeof length);
    length = ntohl(length);
    if (length == 0 || length > net::kMaxStreamFrame) {
      CHECK(result.status == net::IoStatus::kDropped, "this is no length");
      turn();
      CHECK(!connected(), "whoever sends no frames is disconnected");
      return;
    }
    rest = rest.subspan(net::kStreamLengthBytes);
    if (rest.size() < length) {
      CHECK(result.status == net::IoStatus::kWouldBlock, "the frame is not whole");
      return;
    }
    size_t expected = std::min<size_t>(room, length);
    CHECK(result.status == net::IoStatus::kOk && result.bytes == expected, "the frame is whole");
    CHECK(std::equal(buffer.begin(), buffer.begin() + static_cast<ptrdiff_t>(expected), rest.begin()),
          "it is what was sent");
    delivered_ += net::kStreamLengthBytes + length;
  }

  void transmit(size_t size) {
    Bytes frame(size, static_cast<uint8_t>(++transmitted_));
    iovec part{frame.data(), frame.size()};
    net::IoResult result = stream_->port(0).transmit({&part, 1});
    bool possible = size != 0 && size <= net::kMaxStreamFrame;
    CHECK(possible || result.status == net::IoStatus::kDropped, "such a frame cannot be sent");
    if (result.status != net::IoStatus::kOk) return;
    Bytes bytes = framed(frame);
    expected_.insert(expected_.end(), bytes.begin(), bytes.end());
  }

  // The peer reads.
  void take_some(size_t most) {
    Bytes some(most);
    ssize_t size = ::recv(peer_.get(), some.data(), some.size(), MSG_DONTWAIT);
    if (size <= 0) return;
    auto taken = static_cast<size_t>(size);
    CHECK(taken <= expected_.size() - taken_, "the peer gets no more than was sent");
    CHECK(std::memcmp(some.data(), expected_.data() + taken_, taken) == 0, "the peer gets what was sent");
    taken_ += taken;
  }

  // Whatever is ready now, one after the other.
  void turn() {
    for (int i = 0; i < 4; ++i) CHECK(loop_->turn(0).has_value(), "the loop turns");
  }

  void move(bool commit) {
    stream_->freeze();
    vmstate::Writer writer;
    CHECK(stream_->save(writer).has_value(), "every state can be saved");
    std::vector<UniqueFd> fds;
    for (int fd : writer.fds()) fds.push_back(*duplicate(fd));
    vmstate::Reader reader(writer.bytes(), std::move(fds));
    auto destination = make();
    CHECK(destination->adopt(reader).has_value(), "what was saved can be adopted");
    if (commit) {
      stream_->release();
      stream_ = std::move(destination);
    }
    stream_->thaw();
  }

  void finish() {
    for (int i = 0; connected() && taken_ < expected_.size(); ++i) {
      CHECK(i < 100'000, "what waits is sent as soon as there is room");
      take_some(1 << 16);
      turn();
    }
  }

 private:
  std::unique_ptr<net::Stream> make() {
    return *net::Stream::create({.id = "n", .addr = {schema::FdSocketAddress{"c"}}}, {named_, *loop_, nobody_});
  }

  NamedFds named_;
  std::unique_ptr<event::Loop> loop_;
  net::testing::NoObserver nobody_;
  UniqueFd peer_;
  std::unique_ptr<net::Stream> stream_;
  Bytes sent_;  // by the peer
  size_t delivered_ = 0;
  Bytes expected_;  // by the peer
  size_t taken_ = 0;
  size_t transmitted_ = 0;
};

void step(Wire& wire, Input& input) {
  switch (input.number<uint8_t>() % kSteps) {
    case kSend: return wire.send(input.take(input.number<uint8_t>()));
    case kSendFrame: return wire.send(framed(Bytes(1 + input.number<uint16_t>(), input.number<uint8_t>())));
    case kReceive: return wire.receive(1 + input.number<uint16_t>());
    // A little more than is possible.
    case kTransmit: return wire.transmit(input.number<uint16_t>() * net::kMaxStreamFrame / 0xff00);
    case kTakeSome: return wire.take_some(1 + input.number<uint16_t>());
    case kTurn: return wire.turn();
    case kMove: return wire.move(true);
    default: return wire.move(false);
  }
}

Bytes joined(std::initializer_list<Bytes> pieces) {
  Bytes all;
  for (const Bytes& piece : pieces) all.insert(all.end(), piece.begin(), piece.end());
  return all;
}

}  // namespace

std::vector<Bytes> seeds() {
  Bytes receive{kReceive, 0xff, 0x07};
  Bytes piece{kSend, 5, 0, 0, 0, 4, 'a'}, rest{kSend, 3, 'b', 'c', 'd'}, length{kSend, 2, 0, 0};
  Bytes frame{kSendFrame, 0xdc, 0x05, 7}, large{kTransmit, 0, 0xf0}, take{kTakeSome, 0xff, 0xff};
  return {
      joined({frame, receive, frame, frame, receive, receive}),
      joined({piece, receive, {kMove}, rest, receive}),
      joined({length, receive, {kRollBack}, {kSend, 2, 0, 1}, receive, {kMove}, {kSend, 1, 'x'}, receive}),
      joined({frame, {kReceive, 20, 0}, {kSend, 4, 0, 0, 0, 0}, receive, large}),
      joined({{kSend, 16, 'G', 'E', 'T', ' ', '/', ' ', 'H', 'T', 'T', 'P', '/', '1', '.', '0', '\r', '\n'}, receive}),
      joined({large, large, {kTurn}, {kMove}, take, {kTurn}, large, {kMove}, take, {kTakeSome, 3, 0}, {kRollBack}}),
      {kTransmit, 0xff, 0xff}};
}

}  // namespace pagurus::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pagurus::fuzz;
  Wire wire;
  Input input(data, size);
  for (int steps = 0; steps < 500 && !input.empty() && wire.connected(); ++steps) step(wire, input);
  wire.finish();
  return 0;
}
