#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <array>
#include <cstring>

#include "net/testing/vhost_user_peer.h"

namespace pagurus::net::testing {

using vhost_user::append;
using vhost_user::Bytes;
using vhost_user::bytes_of;
using vhost_user::Header;

VhostUserPeer::VhostUserPeer(UniqueFd socket, Abilities abilities, Liar liar)
    : socket_(std::move(socket)), abilities_(abilities), liar_(std::move(liar)), thread_([this] { run(); }) {}

VhostUserPeer::~VhostUserPeer() {
  hang_up();
  thread_.join();
}

void VhostUserPeer::hang_up() { ::shutdown(socket_.get(), SHUT_RDWR); }

std::vector<VhostUserPeer::Message> VhostUserPeer::take() {
  std::lock_guard lock(lock_);
  return std::exchange(messages_, {});
}

void VhostUserPeer::stand_at(unsigned queue, uint32_t base) {
  std::lock_guard lock(lock_);
  bases_[queue] = base;
}

Bytes VhostUserPeer::answer(Request request, const Bytes& payload) {
  Bytes bytes = bytes_of(Header{.request = static_cast<uint32_t>(request),
                                .flags = vhost_user::kVersion | vhost_user::kFlagReply,
                                .size = static_cast<uint32_t>(payload.size())});
  bytes.insert(bytes.end(), payload.begin(), payload.end());
  return bytes;
}

void VhostUserPeer::run() {
  while (auto message = receive()) {
    Request request = message->request;
    Bytes reply = reply_to(*message, need_reply_);
    {
      std::lock_guard lock(lock_);
      messages_.push_back(std::move(*message));
    }
    auto lie = liar_ ? liar_(request) : std::nullopt;
    if (lie && lie->empty()) return hang_up();
    std::vector<int> fds;
    if (request == Request::kGetInflightFd) fds.assign(abilities_.inflight_fds, inflight_.get());
    if (!send(lie ? *lie : reply, fds)) return;
  }
}

std::optional<VhostUserPeer::Message> VhostUserPeer::receive() {
  Header header{};
  Message message{};
  alignas(cmsghdr) std::array<uint8_t, CMSG_SPACE(8 * sizeof(int))> control{};
  iovec part{.iov_base = &header, .iov_len = sizeof header};
  msghdr parts{};
  parts.msg_iov = &part;
  parts.msg_iovlen = 1;
  parts.msg_control = control.data();
  parts.msg_controllen = control.size();
  if (::recvmsg(socket_.get(), &parts, MSG_WAITALL | MSG_CMSG_CLOEXEC) != sizeof header) return std::nullopt;
  for (cmsghdr* rights = CMSG_FIRSTHDR(&parts); rights != nullptr; rights = CMSG_NXTHDR(&parts, rights)) {
    for (size_t at = 0; at + sizeof(int) <= rights->cmsg_len - CMSG_LEN(0); at += sizeof(int)) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(rights) + at, sizeof fd);
      message.fds.emplace_back(fd);
    }
  }
  message.request = static_cast<Request>(header.request);
  need_reply_ = (header.flags & vhost_user::kFlagNeedReply) != 0;
  message.payload.resize(header.size);
  auto size = static_cast<ssize_t>(header.size);
  if (size != 0 && ::recv(socket_.get(), message.payload.data(), header.size, MSG_WAITALL) != size) return std::nullopt;
  return message;
}

Bytes VhostUserPeer::reply_to(const Message& message, bool wants_acknowledgement) {
  switch (message.request) {
    case Request::kGetFeatures: {
      uint64_t protocol = abilities_.protocol != 0 ? vhost_user::kProtocolFeatures : 0;
      // Its bit is the third one of those above.
      return answer(message.request, bytes_of((abilities_.features & ~vhost_user::kProtocolFeatures) | protocol));
    }
    case Request::kGetProtocolFeatures: return answer(message.request, bytes_of(abilities_.protocol));
    case Request::kGetQueueNum: return answer(message.request, bytes_of(abilities_.queue_pairs));
    case Request::kGetVringBase: {
      vhost_user::VringState state{};
      std::memcpy(&state, message.payload.data(), sizeof state);
      std::lock_guard lock(lock_);
      state.num = bases_[state.index];
      return answer(message.request, bytes_of(state));
    }
    case Request::kGetInflightFd: return make_inflight(message);
    default: return wants_acknowledgement ? answer(message.request, bytes_of(uint64_t{0})) : Bytes();
  }
}

Bytes VhostUserPeer::make_inflight(const Message& message) {
  constexpr uint64_t kSize = 4096;
  vhost_user::Inflight described{};
  std::memcpy(&described, message.payload.data(), sizeof described);
  inflight_ = UniqueFd(::memfd_create("inflight", MFD_CLOEXEC));
  EXPECT_EQ(::ftruncate(inflight_.get(), 2 * kSize), 0);
  described.size = described.offset = kSize;
  return answer(message.request, bytes_of(described));
}

bool VhostUserPeer::send(const Bytes& bytes, std::span<const int> fds) {
  if (bytes.empty()) return true;
  alignas(cmsghdr) std::array<uint8_t, CMSG_SPACE(8 * sizeof(int))> control{};
  iovec part{.iov_base = const_cast<uint8_t*>(bytes.data()), .iov_len = bytes.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (!fds.empty()) {
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(fds.size_bytes());
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(CMSG_DATA(header), fds.data(), fds.size_bytes());
  }
  return ::sendmsg(socket_.get(), &message, MSG_NOSIGNAL) >= 0;
}

std::vector<Request> requests_of(const std::vector<VhostUserPeer::Message>& messages) {
  std::vector<Request> requests;
  for (const auto& message : messages) requests.push_back(message.request);
  return requests;
}

}  // namespace pagurus::net::testing
