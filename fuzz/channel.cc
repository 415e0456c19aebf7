// The hand-over's channel and messages, as a hostile peer reaches them: framed bytes on a socket,
// and, because the checksum keeps most of those out, each message's body by itself.
#include "wire/channel.h"

#include <sys/socket.h>

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/result.h"
#include "fuzz/descriptors.h"
#include "fuzz/input.h"
#include "fuzz/target.h"
#include "memory/guest_memory.h"
#include "migration/ownership.h"

namespace pagurus::fuzz {
namespace {

using namespace migration;
using namespace wire;

constexpr size_t kMaxDescriptors = 4;

struct Ends {
  Channel ours;
  UniqueFd theirs;
};

Ends connect() {
  int fds[2];
  CHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0, "a socket pair");
  return {*Channel::of_unix(UniqueFd(fds[0])), UniqueFd(fds[1])};
}

// What a peer would send, behind the descriptors that ride on it: how many, and their kinds.
template <class T>
Bytes frame(MessageType type, const T& body, const Bytes& descriptors = {}) {
  auto ends = connect();
  ends.ours.enqueue(type, body);
  CHECK(ends.ours.flush().has_value() && ends.ours.drained(), "a small message fits a socket");
  Bytes bytes(64 * 1024);
  ssize_t size = 0;
  // One call takes no more than what one sendmsg sent.
  for (ssize_t some = 1; some > 0;) {
    some = ::read(ends.theirs.get(), bytes.data() + size, bytes.size() - static_cast<size_t>(size));
    size += std::max<ssize_t>(some, 0);
  }
  bytes.resize(static_cast<size_t>(size));
  bytes.insert(bytes.begin(), descriptors.begin(), descriptors.end());
  bytes.insert(bytes.begin(), static_cast<uint8_t>(descriptors.size()));
  return bytes;
}

void send(int socket, std::span<const uint8_t> bytes, const std::vector<UniqueFd>& fds) {
  iovec data{const_cast<uint8_t*>(bytes.data()), bytes.size()};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  alignas(cmsghdr) std::array<char, CMSG_SPACE(kMaxDescriptors * sizeof(int))> control{};
  if (!fds.empty()) {
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
    cmsghdr* rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
    for (size_t i = 0; i < fds.size(); ++i) {
      int number = fds[i].get();
      std::memcpy(CMSG_DATA(rights) + i * sizeof number, &number, sizeof number);
    }
  }
  (void)::sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

// As a destination uses it, as far as that needs no machine.
void prepare(Message message) {
  auto body = std::move(message).as<Prepare>();
  if (!body) return;
  if (auto ownership = Ownership::adopt(body->ownership.take())) (void)ownership->claim_for_destination();
  auto memory = memory::GuestMemory::create(memory::kMinRam, memory::Pages::kSmall);
  (void)memory->adopt(body->ram.take());
}

void decode(Message message) {
  switch (message.type) {
    case MessageType::kHello: (void)std::move(message).as<Hello>(); break;
    case MessageType::kWelcome: (void)std::move(message).as<Welcome>(); break;
    case MessageType::kPrepare: prepare(std::move(message)); break;
    case MessageType::kReady: (void)std::move(message).as<Ready>(); break;
    case MessageType::kState: (void)std::move(message).as<State>(); break;
    case MessageType::kRunning: (void)std::move(message).as<Running>(); break;
    case MessageType::kRefused: (void)std::move(message).as<Refused>(); break;
    case MessageType::kPrepareCopy: (void)std::move(message).as<PrepareCopy>(); break;
    case MessageType::kRam: (void)std::move(message).as<Ram>(); break;
    case MessageType::kLoaded: (void)std::move(message).as<Loaded>(); break;
    case MessageType::kGo: (void)std::move(message).as<Go>(); break;
  }
}

}  // namespace

std::vector<Bytes> seeds() {
  Hello hello{.vmm_version = "1.1.0",
              .backend_transfer = true,
              .facts = {{"machine type", "pagurus-1.1"}},
              .sections = {{"vm", "vm/1{}"}},
              .backends = {{"netdev n0", "virtio-net-tap", "tap", "tap/1{}", true}},
              .extras = {"qmp-listener /run/a.qmp"}};
  State state{.run = true, .stop_asked_ns = 1, .sections = {}};
  state.sections.push_back({.name = "vm", .version = 1, .bytes = {1, 2, 3}, .fds = {}});
  Prepare prepare;
  prepare.ram = vmstate::Fd::lend(0);
  prepare.ownership = vmstate::Fd::lend(0);
  prepare.rehearsal.push_back({.name = "vm", .version = 1, .bytes = {1, 2, 3}, .fds = {}});
  State moved{.run = false, .stop_asked_ns = 1, .sections = {}};
  moved.sections.push_back({.name = "netdev n0", .version = 1, .bytes = {1}, .fds = {}});
  moved.sections.back().fds.push_back(vmstate::Fd::lend(0));
  PrepareCopy copy;
  copy.ownership.push_back(vmstate::Fd::lend(0));
  copy.rehearsal.push_back({.name = "vm", .version = 1, .bytes = {1, 2, 3}, .fds = {}});
  Ram ram{.runs = {{.offset = 4096, .pages = 9, .zero = true}, {.offset = 0, .pages = 1}}, .data = {}};
  ram.data.assign(4096, 1);
  return {frame(MessageType::kPrepareCopy, copy, {kSealedMemory}),
          frame(MessageType::kRam, ram),
          frame(MessageType::kLoaded, Loaded{7}),
          frame(MessageType::kGo, Go{}),
          frame(MessageType::kPrepare, prepare, {kSealedMemory, kSealedMemory}),
          frame(MessageType::kState, moved, {kTun}),
          frame(MessageType::kHello, hello),
          frame(MessageType::kWelcome, Welcome{"1.1.0", {"netdev n0"}, {}}),
          frame(MessageType::kRam, Ram{{{.offset = 4096, .pages = 1, .zero = false}}, Bytes(4096, 7)}),
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
  Input input(data, size);
  size_t count = input.number<uint8_t>() % (kMaxDescriptors + 1);
  auto fds = make_descriptors(input.take(count));
  auto rest = input.rest();
  Bytes bytes(rest.begin(), rest.end());
  // With a length and a checksum that fit, so that the decoder is reached.
  Bytes repaired = bytes;
  if (bytes.size() >= kHeader) {
    store_le<uint32_t>(&repaired[8], static_cast<uint32_t>(bytes.size() - kHeader));
    store_le<uint32_t>(&repaired[12], static_cast<uint32_t>(fds.size()));
    store_le<uint32_t>(&repaired[16], static_cast<uint32_t>(::crc32_z(0, &bytes[kHeader], bytes.size() - kHeader)));
  }
  for (const Bytes& sent : {bytes, repaired}) {
    auto fresh = fuzz::connect();
    send(fresh.theirs.get(), sent, fds);
    fresh.theirs.reset();
    for (int i = 0; i < 16; ++i) {
      auto message = fresh.ours.try_receive();
      if (!message || !*message) break;
      decode(std::move(**message));
    }
  }
  return 0;
}
