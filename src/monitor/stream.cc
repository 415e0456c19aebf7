#include "monitor/stream.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace pagurus::monitor {
namespace {

// Descriptors accepted with one read; the kernel's own limit per message is 253.
constexpr size_t kMaxFdsPerRead = 16;

std::vector<UniqueFd> received_fds(msghdr& message) {
  std::vector<UniqueFd> fds;
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr; part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd;
      std::memcpy(&fd, CMSG_DATA(part) + i * sizeof fd, sizeof fd);
      fds.emplace_back(fd);
    }
  }
  return fds;
}

// Whether a call would not wait; otherwise errno is EAGAIN.
bool ready(int fd, short events) {
  pollfd polled{fd, events, 0};
  if (::poll(&polled, 1, 0) != 0) return true;
  errno = EAGAIN;
  return false;
}

}  // namespace

Stream::Read Stream::read(std::array<char, 16384>& buffer) const {
  alignas(cmsghdr) std::array<char, CMSG_SPACE(kMaxFdsPerRead * sizeof(int))> control;
  iovec bytes{buffer.data(), buffer.size()};
  msghdr message{};
  message.msg_iov = &bytes;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  ssize_t size = ::recvmsg(input.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (size >= 0) return {size, received_fds(message)};
  if (errno != ENOTSOCK) return {size, {}};
  if (!ready(input.get(), POLLIN)) return {-1, {}};
  return {::read(input.get(), buffer.data(), buffer.size()), {}};
}

ssize_t Stream::write(std::string_view bytes) const {
  ssize_t sent = ::send(output_fd(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent >= 0 || errno != ENOTSOCK) return sent;
  if (!ready(output_fd(), POLLOUT)) return -1;
  // A pipe that is ready takes this much at once (POSIX: PIPE_BUF).
  return ::write(output_fd(), bytes.data(), std::min<size_t>(bytes.size(), 4096));
}

}  // namespace pagurus::monitor
