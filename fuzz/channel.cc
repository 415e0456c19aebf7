// The hand-over's channel and messages, as a hostile peer reaches them: framed bytes on a socket,
// and, because the checksum keeps most of those out, each message's body by itself.
#include "migration/channel.h"

#include <sys/socket.h>

#include <zlib.h>

#include "base/result.h"
#include "fuzz/target.h"

namespace pagurus::fuzz {
namespace {

using namespace migration;

struct Ends {
  Channel ours;
  UniqueFd theirs;
};

Ends connect() {
  int fds[2];
  CHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0, "a socket pair");
  return {*Channel::of_socket(UniqueFd(fds[0])), UniqueFd(fds[1])};
}

template <class T>
Bytes frame(MessageType type, const T& body) {
  auto ends = connect();
  CHECK(ends.ours.send(type, body, monotonic_ns() + 1'000'000'000).has_value(), "a small message fits a socket");
  Bytes bytes(64 * 1024);
  bytes.resize(static_cast<size_t>(::read(ends.theirs.get(), bytes.data(), bytes.size())));
  return bytes;
}

void decode(Message message) {
  switch (message.type) {
    case MessageType::kHello: (void)std::move(message).as<Hello>(); break;
    case MessageType::kWelcome: (void)std::move(message).as<Welcome>(); break;
    case MessageType::kPrepare: (void)std::move(message).as<Prepare>(); break;
    case MessageType::kReady: (void)std::move(message).as<Ready>(); break;
    case MessageType::kState: (void)std::move(message).as<State>(); break;
    case MessageType::kRunning: (void)std::move(message).as<Running>(); break;
    case MessageType::kRefused: (void)std::move(message).as<Refused>(); break;
  }
}

}  // namespace

std::vector<Bytes> seeds() {
  Hello hello{.vmm_version = "1.1.0",
              .backend_transfer = true,
              .facts = {{"machine type", "pagurus-1.1"}},
              .sections = {{"vm", "vm/1{}"}},
              .backends = {{"netdev n0", "tap", "tap/1{}", true}},
              .extras = {"qmp-listener /run/a.qmp"}};
  State state{.run = true, .stop_asked_ns = 1, .sections = {}};
  state.sections.push_back({.name = "vm", .version = 1, .bytes = {1, 2, 3}, .fds = {}});
  return {frame(MessageType::kHello, hello),
          frame(MessageType::kWelcome, Welcome{"1.1.0", {"netdev n0"}}),
          frame(MessageType::kReady, Ready{7}),
          frame(MessageType::kState, state),
          frame(MessageType::kRunning, Running{1, 2, 3, 4}),
          frame(MessageType::kRefused, Refused{"because"})};
}

}  // namespace pagurus::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pagurus;
  using namespace pagurus::fuzz;
  constexpr size_t kHeader = 24;
  // With a checksum that fits, so that the decoder is reached.
  Bytes repaired(data, data + size);
  if (size >= kHeader) {
    store_le<uint32_t>(&repaired[8], static_cast<uint32_t>(size - kHeader));
    store_le<uint32_t>(&repaired[16], static_cast<uint32_t>(::crc32_z(0, data + kHeader, size - kHeader)));
  }
  for (const Bytes& bytes : {Bytes(data, data + size), repaired}) {
    auto fresh = connect();
    (void)!::write(fresh.theirs.get(), bytes.data(), bytes.size());
    fresh.theirs.reset();
    for (int i = 0; i < 16; ++i) {
      auto message = fresh.ours.try_receive();
      if (!message || !*message) break;
      decode(std::move(**message));
    }
  }
  return 0;
}
