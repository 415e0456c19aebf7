// What a vhost-user back end answers, and with which descriptors: all its answers are there before it is asked.
// Whatever they are, every call ends, and no descriptor is left behind.
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/result.h"
#include "fuzz/descriptors.h"
#include "fuzz/input.h"
#include "fuzz/target.h"
#include "net/vhost_user/peer.h"

namespace pagurus::fuzz {
namespace {

using net::vhost_user::append;
using net::vhost_user::Header;
using net::vhost_user::Peer;
using net::vhost_user::Request;

constexpr unsigned kPairs = 2;
constexpr uint16_t kQueueSize = 256;
constexpr size_t kMostDescriptors = 12;
constexpr uint64_t kFeatures = uint64_t{5} << 32 | net::vhost_user::kProtocolFeatures | 3;

const memory::GuestMemory& guest_memory() {
  static memory::GuestMemory memory = [] {
    auto fresh = *memory::GuestMemory::create(memory::kMinRam, memory::Pages::kSmall);
    CHECK(fresh.allocate().has_value(), "RAM for the fuzzer");
    return fresh;
  }();
  return memory;
}

// The answers, with descriptors at a place among them, and then the end.
void put(int socket, std::span<const uint8_t> answers, size_t place, size_t descriptors) {
  auto send = [socket](std::span<const uint8_t> bytes, size_t fds) {
    if (bytes.empty()) return;
    alignas(cmsghdr) std::array<uint8_t, CMSG_SPACE(kMostDescriptors * sizeof(int))> control{};
    iovec part{.iov_base = const_cast<uint8_t*>(bytes.data()), .iov_len = bytes.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    if (fds != 0) {
      message.msg_control = control.data();
      message.msg_controllen = CMSG_SPACE(fds * sizeof(int));
      cmsghdr* header = CMSG_FIRSTHDR(&message);
      header->cmsg_level = SOL_SOCKET;
      header->cmsg_type = SCM_RIGHTS;
      header->cmsg_len = CMSG_LEN(fds * sizeof(int));
      int memory = guest_memory().fd();
      for (size_t i = 0; i < fds; ++i) std::memcpy(CMSG_DATA(header) + i * sizeof(int), &memory, sizeof memory);
    }
    // What does not fit is cut off.
    (void)::sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  };
  send(answers.first(place), 0);
  send(answers.subspan(place), descriptors);
  ::shutdown(socket, SHUT_WR);
}

Result<void> talk(UniqueFd socket) {
  auto peer = TRY(Peer::greet(std::move(socket), kPairs, std::chrono::milliseconds(1000)));
  TRY(peer->set_ram(guest_memory()));
  TRY(peer->set_features(kFeatures & peer->terms().offered));
  std::optional<net::vhost_user::InflightRegion> region;
  TRY(peer->set_inflight(region, 2 * kPairs, kQueueSize));
  CHECK(!region || region->offset + region->size <= guest_memory().size(), "it lies in its file");
  for (unsigned queue = 0; queue < 2 * kPairs; ++queue) {
    // Any descriptor will do.
    TRY(peer->start_ring(
        {.queue = queue, .size = kQueueSize, .kick_fd = guest_memory().fd(), .call_fd = guest_memory().fd()}));
    TRY(peer->enable_ring(queue, true));
  }
  for (unsigned queue = 0; queue < 2 * kPairs; ++queue) {
    auto at = TRY(peer->stop_ring(queue));
    CHECK(peer->packed() || at.used == 0, "of a split ring one index is told");
  }
  return {};
}

void answer(Bytes& bytes, Request request, const Bytes& payload) {
  append(bytes, Header{.request = static_cast<uint32_t>(request),
                       .flags = net::vhost_user::kVersion | net::vhost_user::kFlagReply,
                       .size = static_cast<uint32_t>(payload.size())});
  bytes.insert(bytes.end(), payload.begin(), payload.end());
}

// Everything that talk() wants to hear.
Bytes honest(uint64_t protocol, uint8_t descriptors) {
  using net::vhost_user::bytes_of;
  Bytes bytes;
  auto number = [&](Request request, uint64_t value) { answer(bytes, request, bytes_of(value)); };
  auto acknowledge = [&](Request request) {
    if ((protocol & net::vhost_user::kProtocolReplyAck) != 0) number(request, 0);
  };
  number(Request::kGetFeatures, kFeatures);
  number(Request::kGetProtocolFeatures, protocol);
  number(Request::kGetQueueNum, kPairs);
  for (Request request : {Request::kSetOwner, Request::kSetMemTable, Request::kSetFeatures}) acknowledge(request);
  auto place = static_cast<uint16_t>(bytes.size());
  if ((protocol & net::vhost_user::kProtocolInflight) != 0) {
    answer(bytes, Request::kGetInflightFd,
           bytes_of(net::vhost_user::Inflight{
               .size = 4096, .offset = 4096, .queues = 2 * kPairs, .queue_size = kQueueSize, .padding = 0}));
    acknowledge(Request::kSetInflightFd);
  }
  for (unsigned queue = 0; queue < 2 * kPairs; ++queue) {
    for (Request request :
         {Request::kSetVringNum, Request::kSetVringBase, Request::kSetVringAddr, Request::kSetVringErr,
          Request::kSetVringCall, Request::kSetVringKick, Request::kSetVringEnable}) {
      acknowledge(request);
    }
  }
  for (unsigned queue = 0; queue < 2 * kPairs; ++queue) {
    answer(bytes, Request::kGetVringBase, bytes_of(net::vhost_user::VringState{.index = queue, .num = 7 * queue}));
  }
  Bytes all{descriptors};
  append(all, place);
  all.insert(all.end(), bytes.begin(), bytes.end());
  return all;
}

}  // namespace

std::vector<Bytes> seeds() {
  using namespace net::vhost_user;
  return {honest(kProtocolMq | kProtocolReplyAck, 0),
          honest(kProtocolMq, 0),
          honest(kProtocolMq, 1),
          honest(kProtocolMq, kMostDescriptors),
          honest(kProtocolMq | kProtocolReplyAck | kProtocolInflight, 1),
          honest(kProtocolMq | kProtocolInflight, 0),
          honest(kProtocolMq | kProtocolInflight, 2)};
}

}  // namespace pagurus::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pagurus;
  using namespace pagurus::fuzz;
  (void)guest_memory();
  size_t before = open_descriptors();
  {
    Input input(data, size);
    size_t descriptors = input.number<uint8_t>() % (kMostDescriptors + 1);
    size_t place = input.number<uint16_t>();
    auto answers = input.rest();
    int ends[2];
    CHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0, "a pair of sockets");
    UniqueFd ours(ends[0]), theirs(ends[1]);
    put(theirs.get(), answers, std::min(place, answers.size()), descriptors);
    (void)talk(std::move(ours));
  }
  CHECK(open_descriptors() == before, "no descriptor is left");
  return 0;
}
