#include "wire/channel.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace pagurus::wire {
namespace {

// Linux takes 253 descriptors in one call (SCM_MAX_FD).
constexpr size_t kFdsPerCall = 250;
// A peer that sends faster than we read must not keep us from looking at the time.
constexpr int kReadsAtOnce = 512;
// Linux 6.5 has it; the headers of Debian 12 do not.
constexpr int kSoPeerPidfd = 77;

// The process at the other end, by a descriptor that cannot come to mean another one.
Result<UniqueFd> pidfd_of_peer(int socket, pid_t pid) {
  int fd = -1;
  socklen_t size = sizeof fd;
  if (::getsockopt(socket, SOL_SOCKET, kSoPeerPidfd, &fd, &size) == 0) return UniqueFd(fd);
  UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!pidfd) return fail_errno(errno, "cannot watch the peer process {}", pid);
  return pidfd;
}

}  // namespace

Result<Channel> Channel::of_unix(UniqueFd socket) {
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (::getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) {
    return fail_errno(errno, "cannot ask who the peer is");
  }
  if (credentials.uid != ::geteuid() && credentials.uid != 0) {
    return fail(
        "the peer runs as user {}, this process as user {}: a hand-over stays within one user, or comes from root",
        credentials.uid, ::geteuid());
  }
  UniqueFd pidfd = TRY(pidfd_of_peer(socket.get(), credentials.pid));
  Channel channel(Kind::kUnix, std::move(socket));
  channel.pidfd_ = std::move(pidfd);
  channel.peer_pid_ = credentials.pid;
  return channel;
}

Channel Channel::of_tcp(UniqueFd socket) { return {Kind::kTcp, std::move(socket)}; }

Channel Channel::of_file(UniqueFd file) { return {Kind::kFile, std::move(file)}; }

void Channel::close() {
  fd_.reset();
  pidfd_.reset();
  queue_.clear();
  received_fds_.clear();
  received_ = std::vector<uint8_t>();
  taken_ = 0;
  scratch_ = std::vector<uint8_t>();
}

void Channel::enqueue_frame(MessageType type, const vmstate::Writer& writer) {
  CHECK(writer.fds().empty() || passes_fds(), "only messages without descriptors are sent where none can travel");
  auto header = encode_header(type, writer);
  Outgoing message{.bytes = {}, .fds = writer.fds()};
  message.bytes.reserve(header.size() + writer.bytes().size());
  message.bytes.assign(header.begin(), header.end());
  message.bytes.insert(message.bytes.end(), writer.bytes().begin(), writer.bytes().end());
  message.breaks = std::exchange(break_in_next_, false);
  if (message.breaks) message.bytes.resize(message.bytes.size() / 2);
  queue_.push_back(std::move(message));
}

void Channel::stop_receiving() { ::shutdown(fd_.get(), SHUT_RD); }

void Channel::break_now() {
  if (kind_ == Kind::kFile) return fd_.reset();
  ::shutdown(fd_.get(), SHUT_RDWR);
}

Result<void> Channel::flush() {
  while (!queue_.empty()) {
    Outgoing& message = queue_.front();
    auto sent = send_some(message);
    if (!sent) {
      // Whoever is told so takes it as not sent: it must not follow after all, with what is said next.
      ::shutdown(fd_.get(), SHUT_WR);
      queue_.clear();
      return std::unexpected(std::move(sent.error()));
    }
    if (!*sent) return {};
    if (message.sent < message.bytes.size()) continue;
    if (message.breaks) break_now();
    queue_.pop_front();
  }
  return {};
}

// False: it would have to wait.
Result<bool> Channel::send_some(Outgoing& message) {
  size_t fds = std::min(kFdsPerCall, message.fds.size() - message.fds_sent);
  bool more_fds = message.fds_sent + fds < message.fds.size();
  // Descriptors need a byte to ride on; keep one for each further batch.
  size_t batch = more_fds ? 1 : message.bytes.size() - message.sent;
  CHECK(batch > 0, "a message with descriptors has more bytes than batches of descriptors");
  iovec data{message.bytes.data() + message.sent, batch};
  msghdr call{};
  call.msg_iov = &data;
  call.msg_iovlen = 1;
  alignas(cmsghdr) std::array<char, CMSG_SPACE(kFdsPerCall * sizeof(int))> control{};
  if (fds > 0) {
    call.msg_control = control.data();
    call.msg_controllen = CMSG_SPACE(fds * sizeof(int));
    cmsghdr* rights = CMSG_FIRSTHDR(&call);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(fds * sizeof(int));
    std::memcpy(CMSG_DATA(rights), message.fds.data() + message.fds_sent, fds * sizeof(int));
  }
  ssize_t written = kind_ == Kind::kFile ? ::write(fd_.get(), data.iov_base, data.iov_len)
                                         : ::sendmsg(fd_.get(), &call, MSG_NOSIGNAL | MSG_DONTWAIT);
  if (written < 0 && errno == EINTR) return true;
  if (written < 0 && errno == EAGAIN) return false;
  if (written < 0) return fail_errno(errno, "cannot {}", kind_ == Kind::kFile ? "write the file" : "send to the peer");
  message.sent += static_cast<size_t>(written);
  message.fds_sent += fds;
  sent_bytes_ += static_cast<uint64_t>(written);
  return true;
}

Result<std::optional<Message>> Channel::try_receive() {
  for (int reads = 0; reads < kReadsAtOnce; ++reads) {
    if (auto message = TRY(take_complete_message())) return message;
    if (!TRY(receive_some())) return std::nullopt;
  }
  return take_complete_message();
}

// False: nothing is there yet.
Result<bool> Channel::receive_some() {
  alignas(cmsghdr) std::array<char, CMSG_SPACE(kFdsPerCall * sizeof(int))> control{};
  iovec data{scratch_.data(), scratch_.size()};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  ssize_t count = kind_ == Kind::kFile ? ::read(fd_.get(), scratch_.data(), scratch_.size())
                                       : ::recvmsg(fd_.get(), &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  int error = errno;
  if (count < 0 && error == EINTR) return true;
  if (count < 0 && error == EAGAIN) return false;
  if (count < 0)
    return fail_errno(error, "cannot {}", kind_ == Kind::kFile ? "read the file" : "receive from the peer");
  received_.erase(received_.begin(), received_.begin() + static_cast<ptrdiff_t>(taken_));
  taken_ = 0;
  received_.insert(received_.end(), scratch_.begin(), scratch_.begin() + count);
  if (kind_ == Kind::kFile) {
    if (count == 0) return fail("the file ends in the middle of the stream");
    return true;
  }
  keep_fds(message);
  if ((message.msg_flags & MSG_CTRUNC) != 0) return fail("more file descriptors arrived than this process may hold");
  if (received_fds_.size() > kMaxFds) return fail("more file descriptors arrived than any message has");
  if (count == 0) return fail("the peer closed the channel");
  return true;
}

void Channel::keep_fds(msghdr& message) {
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr; part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    size_t fds = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < fds; ++i) received_fds_.emplace_back(load_le<int>(CMSG_DATA(part) + i * sizeof(int)));
  }
}

Result<std::optional<Message>> Channel::take_complete_message() {
  std::span<const uint8_t> rest(received_.begin() + static_cast<ptrdiff_t>(taken_), received_.end());
  if (rest.size() < kHeaderSize) return std::nullopt;
  Header header = TRY(decode_header(rest.first<kHeaderSize>()));
  TRY(check_header(header));
  size_t total = kHeaderSize + header.length;
  if (rest.size() < total) return std::nullopt;
  if (received_fds_.size() < header.fds)
    return fail("{} file descriptors arrived where {} were announced", received_fds_.size(), header.fds);
  Message message{.type = header.type, .body = {}, .fds = {}};
  auto body = rest.subspan(kHeaderSize, header.length);
  message.body.assign(body.begin(), body.end());
  if (checksum(message.body) != header.crc) return fail("a message arrived damaged");
  auto end = received_fds_.begin() + header.fds;
  std::move(received_fds_.begin(), end, std::back_inserter(message.fds));
  received_fds_.erase(received_fds_.begin(), end);
  taken_ += total;
  if (taken_ == received_.size() && !received_fds_.empty()) {
    return fail("{} file descriptors arrived that belong to no message", received_fds_.size());
  }
  return message;
}

}  // namespace pagurus::wire
