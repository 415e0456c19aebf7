#include "net/vhost_user/connection.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace pagurus::net::vhost_user {
namespace {

// More descriptors than any answer has; what exceeds them the kernel closes.
constexpr size_t kMostDescriptors = 8;

}  // namespace

const char* name_of(Request request) {
  switch (request) {
    case Request::kGetFeatures: return "GET_FEATURES";
    case Request::kSetFeatures: return "SET_FEATURES";
    case Request::kSetOwner: return "SET_OWNER";
    case Request::kSetMemTable: return "SET_MEM_TABLE";
    case Request::kSetVringNum: return "SET_VRING_NUM";
    case Request::kSetVringAddr: return "SET_VRING_ADDR";
    case Request::kSetVringBase: return "SET_VRING_BASE";
    case Request::kGetVringBase: return "GET_VRING_BASE";
    case Request::kSetVringKick: return "SET_VRING_KICK";
    case Request::kSetVringCall: return "SET_VRING_CALL";
    case Request::kSetVringErr: return "SET_VRING_ERR";
    case Request::kGetProtocolFeatures: return "GET_PROTOCOL_FEATURES";
    case Request::kSetProtocolFeatures: return "SET_PROTOCOL_FEATURES";
    case Request::kGetQueueNum: return "GET_QUEUE_NUM";
    case Request::kSetVringEnable: return "SET_VRING_ENABLE";
    case Request::kGetInflightFd: return "GET_INFLIGHT_FD";
    case Request::kSetInflightFd: return "SET_INFLIGHT_FD";
  }
  return "an unknown request";
}

Result<void> Connection::tell(Request request, const Bytes& payload, std::span<const int> fds) {
  auto deadline = Clock::now() + patience_;
  TRY_DOING(name_of(request), send(request, acknowledged_ ? kFlagNeedReply : 0, payload, fds, deadline));
  if (!acknowledged_) return {};
  Answer answer = TRY_DOING(name_of(request), receive(request, sizeof(uint64_t), 0, deadline));
  uint64_t failure = 0;
  std::memcpy(&failure, answer.payload.data(), sizeof failure);
  if (failure != 0) return fail("{}: the peer refuses it ({})", name_of(request), failure);
  return {};
}

Result<Connection::Answer> Connection::ask(Request request, const Bytes& payload, size_t size, size_t most_fds) {
  auto deadline = Clock::now() + patience_;
  TRY_DOING(name_of(request), send(request, 0, payload, {}, deadline));
  return TRY_DOING(name_of(request), receive(request, size, most_fds, deadline));
}

Result<void> Connection::send(Request request, uint32_t flags, const Bytes& payload, std::span<const int> fds,
                              Clock::time_point deadline) {
  CHECK(fds.size() <= kMostDescriptors, "a message has few descriptors");
  Bytes bytes = bytes_of(Header{.request = static_cast<uint32_t>(request),
                                .flags = kVersion | flags,
                                .size = static_cast<uint32_t>(payload.size())});
  bytes.insert(bytes.end(), payload.begin(), payload.end());
  alignas(cmsghdr) std::array<uint8_t, CMSG_SPACE(kMostDescriptors * sizeof(int))> control{};
  size_t sent = 0;
  while (sent < bytes.size()) {
    iovec part{.iov_base = bytes.data() + sent, .iov_len = bytes.size() - sent};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    // They go with the first byte.
    if (sent == 0 && !fds.empty()) {
      message.msg_control = control.data();
      message.msg_controllen = CMSG_SPACE(fds.size_bytes());
      cmsghdr* header = CMSG_FIRSTHDR(&message);
      header->cmsg_level = SOL_SOCKET;
      header->cmsg_type = SCM_RIGHTS;
      header->cmsg_len = CMSG_LEN(fds.size_bytes());
      std::memcpy(CMSG_DATA(header), fds.data(), fds.size_bytes());
    }
    ssize_t size = ::sendmsg(socket_.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (size >= 0) {
      sent += static_cast<size_t>(size);
    } else if (errno == EAGAIN) {
      TRY(wait(POLLOUT, deadline));
    } else if (errno != EINTR) {
      return fail_errno(errno, "cannot send it");
    }
  }
  return {};
}

Result<Connection::Answer> Connection::receive(Request request, size_t size, size_t most_fds,
                                               Clock::time_point deadline) {
  Answer answer;
  Header header{};
  TRY(receive_exactly({reinterpret_cast<uint8_t*>(&header), sizeof header}, answer.fds, deadline));
  if (header.request != static_cast<uint32_t>(request)) return fail("the answer is one to request {}", header.request);
  // A peer may leave the flag of the request in its answer.
  if ((header.flags & ~kFlagNeedReply) != (kVersion | kFlagReply)) {
    return fail("the answer has the flags {:#x}", header.flags);
  }
  if (header.size != size) return fail("the answer has {} bytes where {} are right", header.size, size);
  answer.payload.resize(size);
  TRY(receive_exactly(answer.payload, answer.fds, deadline));
  if (answer.fds.size() > most_fds) {
    return fail("the answer has {} file descriptors where at most {} are right", answer.fds.size(), most_fds);
  }
  return answer;
}

Result<void> Connection::receive_exactly(std::span<uint8_t> to, std::vector<UniqueFd>& fds,
                                         Clock::time_point deadline) {
  size_t received = 0;
  while (received < to.size()) {
    alignas(cmsghdr) std::array<uint8_t, CMSG_SPACE(kMostDescriptors * sizeof(int))> control{};
    iovec part{.iov_base = to.data() + received, .iov_len = to.size() - received};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    ssize_t size = ::recvmsg(socket_.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (size < 0 && errno == EAGAIN) {
      TRY(wait(POLLIN, deadline));
      continue;
    }
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return fail_errno(errno, "cannot receive the answer");
    if (size == 0) return fail("the peer has hung up");
    for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
      if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
      for (size_t at = 0; at + sizeof(int) <= header->cmsg_len - CMSG_LEN(0); at += sizeof(int)) {
        int fd = -1;
        std::memcpy(&fd, CMSG_DATA(header) + at, sizeof fd);
        fds.emplace_back(fd);
      }
    }
    if ((message.msg_flags & MSG_CTRUNC) != 0 || fds.size() > kMostDescriptors)
      return fail("the answer has more file descriptors than fit");
    received += static_cast<size_t>(size);
  }
  return {};
}

Result<void> Connection::wait(short events, Clock::time_point deadline) {
  auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
  pollfd ready{.fd = socket_.get(), .events = events, .revents = 0};
  int count = left.count() <= 0 ? 0 : ::poll(&ready, 1, static_cast<int>(left.count()));
  if (count < 0 && errno != EINTR) return fail_errno(errno, "cannot wait for the peer");
  if (count == 0) return fail("the peer has not answered within {} ms", patience_.count());
  return {};
}

}  // namespace pagurus::net::vhost_user
