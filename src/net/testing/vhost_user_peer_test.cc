#include <gtest/gtest.h>
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
    if (!send(lie ? *lie : reply)) return;
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
    default: return wants_acknowledgement ? answer(message.request, bytes_of(uint64_t{0})) : Bytes();
  }
}

bool VhostUserPeer::send(const Bytes& bytes) {
  return bytes.empty() || ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) >= 0;
}

std::vector<Request> requests_of(const std::vector<VhostUserPeer::Message>& messages) {
  std::vector<Request> requests;
  for (const auto& message : messages) requests.push_back(message.request);
  return requests;
}

}  // namespace pagurus::net::testing
