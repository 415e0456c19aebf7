// Back ends that adopt what a hostile peer sends: any bytes, any descriptors.  What is adopted is then
// used, and whatever happens, no descriptor is left behind.
#include <unistd.h>

#include "base/unix_listener.h"
#include "chardev/socket_backend.h"
#include "chardev/stream_backend.h"
#include "fuzz/descriptors.h"
#include "fuzz/input.h"
#include "fuzz/target.h"
#include "monitor/listener.h"
#include "net/dgram.h"
#include "net/stream.h"
#include "net/stream_state.h"
#include "net/tap.h"
#include "net/tap_state.h"
#include "net/testing/no_observer.h"

namespace pagurus::fuzz {
namespace {

enum Kind : uint8_t {
  kStdio,
  kFd,
  kConsoleSocket,
  kTap,
  kQmpListener,
  kTapQueues,
  kStreamServer,
  kStreamClient,
  kDgramConnected,
  kDgramPath,
  kKinds
};

constexpr size_t kMaxDescriptors = 4;

struct Console final : chardev::Frontend {
  size_t can_receive() override { return received < 4096 ? 16 : 0; }
  void receive(std::span<const uint8_t> bytes) override { received += bytes.size(); }
  void writable() override {}
  size_t received = 0;
};

// Turns the loop until what is ready now has been served.
void turn(event::Loop& loop) {
  for (int i = 0; i < 8; ++i) CHECK(loop.turn(0).has_value(), "the loop turns");
}

void use(chardev::Backend& backend, vmstate::Reader& reader, event::Loop& loop) {
  Console console;
  backend.attach(&console);
  if (!backend.adopt(reader)) {
    CHECK(backend.pending(), "a back end that adopted nothing is pending");
    return backend.attach(nullptr);
  }
  backend.thaw();
  (void)backend.write(Bytes(100, 'x'));
  backend.want_input();
  turn(loop);
  backend.freeze();
  vmstate::Writer writer;
  CHECK(backend.save(writer).has_value(), "what was adopted can move on");
  backend.attach(nullptr);
}

void use(net::Backend& backend, vmstate::Reader& reader, event::Loop& loop) {
  if (!backend.adopt(reader)) {
    CHECK(backend.pending(), "a back end that adopted nothing is pending");
    return;
  }
  backend.thaw();
  Bytes frame(1514, 'x');
  iovec part{frame.data(), frame.size()};
  for (int i = 0; i < 3; ++i) {
    (void)backend.port(0).receive({&part, 1});
    (void)backend.port(0).transmit({&part, 1});
    turn(loop);
  }
  backend.freeze();
  vmstate::Writer writer;
  CHECK(backend.save(writer).has_value(), "what was adopted can move on");
}

void adopt(Kind kind, vmstate::Reader& reader, event::Loop& loop) {
  NamedFds named;
  switch (kind) {
    case kStdio:
    case kFd: {
      auto stream = kind == kStdio ? chardev::StreamConfig::Kind::kStdio : chardev::StreamConfig::Kind::kFd;
      chardev::StreamBackend backend({.id = "c", .kind = stream}, named, loop);
      return use(backend, reader, loop);
    }
    case kConsoleSocket: {
      chardev::SocketBackend backend({.id = "c", .path = "/nonexistent/console"}, named, loop);
      return use(backend, reader, loop);
    }
    case kTap: {
      auto tap = net::Tap::create({.id = "n", .ifname = "tap0"}, named);
      CHECK(!tap->adopt(reader) && tap->pending(), "none of these descriptors is a TAP");
      return;
    }
    case kTapQueues: {
      auto tap = net::Tap::create({.id = "n", .ifname = "tap0", .queues = 4}, named);
      CHECK(!tap->adopt(reader) && tap->pending(), "none of these descriptors is a TAP");
      return;
    }
    case kStreamServer:
    case kStreamClient: {
      net::testing::NoObserver nobody;
      schema::SocketAddress addr{schema::UnixSocketAddress{"/nonexistent/net"}};
      bool server = kind == kStreamServer;
      auto stream = net::Stream::create({.id = "n", .addr = addr, .server = server}, {named, loop, nobody});
      return use(**stream, reader, loop);
    }
    case kDgramConnected: {
      net::Dgram dgram({.id = "n", .local = {schema::FdSocketAddress{"c"}}, .remote = {}}, named);
      return use(dgram, reader, loop);
    }
    case kDgramPath: {
      schema::SocketAddress addr{schema::UnixSocketAddress{"/nonexistent/net"}};
      net::Dgram dgram({.id = "n", .local = addr, .remote = addr}, named);
      return use(dgram, reader, loop);
    }
    default: {
      // Pending, because the source still listens.
      std::string path = "/tmp/pagurus-fuzz-" + std::to_string(::getpid()) + ".qmp";
      auto source = UnixListener::bind(path);
      auto listener = monitor::Listener::create(loop, path, monitor::Listener::Start::kIncoming, [](UniqueFd) {});
      CHECK(source && listener && (*listener)->pending(), "a listener that waits for its socket");
      if (!(*listener)->adopt(reader)) return;
      (*listener)->thaw();
      turn(loop);
      (*listener)->freeze();
    }
  }
}

// A state that names as many descriptors as there are, and a file that nobody may unlink.
template <class State>
Bytes seed(Kind kind, std::vector<uint8_t> descriptors, const State& state) {
  vmstate::Writer writer;
  vmstate::write_state(writer, state);
  Bytes input{kind, static_cast<uint8_t>(descriptors.size())};
  input.insert(input.end(), descriptors.begin(), descriptors.end());
  input.insert(input.end(), writer.bytes().begin(), writer.bytes().end());
  return input;
}

}  // namespace

std::vector<Bytes> seeds() {
  auto streams = [](chardev::StreamConfig::Kind kind) {
    chardev::StreamState state{.kind = kind};
    state.input.push_back(vmstate::Fd::lend(0));
    state.output.push_back(vmstate::Fd::lend(1));
    return state;
  };
  chardev::StreamState terminal = streams(chardev::StreamConfig::Kind::kStdio);
  terminal.terminal.emplace_back();
  chardev::SocketState socket;
  socket.path = "/nonexistent/console";
  socket.listener.push_back(vmstate::Fd::lend(0));
  socket.client.push_back(vmstate::Fd::lend(1));
  // The layout of net/tap.cc: a name, ten bytes, a descriptor.
  Bytes tap{kTap, 1, DescriptorKind::kTun, 4, 0, 0, 0, 't', 'a', 'p', '0', 1, 1, 12, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0};
  Bytes listener{kQmpListener, 1, DescriptorKind::kListener, 1, 0, 0, 0, '/', 0, 0, 0, 0};
  // As many queues as descriptors, of the same layout.
  net::TapQueuesState queues;
  for (uint8_t i = 0; i < 2; ++i) {
    queues.queues.push_back({.ifname = "tap0", .vnet_header = true, .vnet_header_size = net::kVnetHeaderSize});
    queues.queues.back().fd = vmstate::Fd::lend(i);
  }
  net::StreamState server{.server = true, .path = "/nonexistent/net"};
  server.listener.push_back(vmstate::Fd::lend(0));
  server.connection.push_back(vmstate::Fd::lend(1));
  net::StreamState client{.received = {0, 0, 0, 7, 'b', 'e', 'g', 'u', 'n'}, .unsent = {'r', 'e', 's', 't'}};
  client.connection.push_back(vmstate::Fd::lend(0));
  net::DgramState connected{.socket = vmstate::Fd::lend(0)};
  net::DgramState path{.socket = vmstate::Fd::lend(0), .path = "/nonexistent/net", .remote = {1, 0, '/', 'n'}};
  return {seed(kStdio, {kPipeIn, kPipeOut}, terminal),
          seed(kFd, {kSocket, kSocket}, streams(chardev::StreamConfig::Kind::kFd)),
          seed(kFd, {kMemory, kNull}, streams(chardev::StreamConfig::Kind::kFd)),
          seed(kConsoleSocket, {kListener, kSocket}, socket),
          tap,
          listener,
          seed(kTapQueues, {kTun, kTun}, queues),
          seed(kStreamServer, {kListener, kSocket}, server),
          seed(kStreamClient, {kSocket}, client),
          seed(kStreamClient, {}, net::StreamState{.connecting = true}),
          seed(kDgramConnected, {kDatagrams}, connected),
          seed(kDgramPath, {kDatagrams}, path)};
}

}  // namespace pagurus::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pagurus;
  using namespace pagurus::fuzz;
  size_t before = open_descriptors();
  {
    Input input(data, size);
    auto kind = static_cast<Kind>(input.number<uint8_t>() % kKinds);
    size_t count = input.number<uint8_t>() % (kMaxDescriptors + 1);
    auto fds = make_descriptors(input.take(count));
    auto loop = event::Loop::create();
    CHECK(loop.has_value(), "an event loop");
    vmstate::Reader reader(input.rest(), std::move(fds));
    adopt(kind, reader, **loop);
  }
  CHECK(open_descriptors() == before, "every descriptor that arrived is closed in the end");
  return 0;
}
