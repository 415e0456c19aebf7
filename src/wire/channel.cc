#include "wire/channel.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace pagurus::wire {
namespace {

constexpr uint32_t kMagic = 0x53524750;  // "PGRS"
constexpr size_t kHeaderSize = 24;
constexpr uint32_t kMaxBody = 64 * 1024 * 1024;
constexpr uint32_t kMaxFds = 4096;
// Linux takes 253 descriptors in one call (SCM_MAX_FD).
constexpr size_t kFdsPerCall = 250;
// A peer that sends faster than we read must not keep us from looking at the time.
constexpr int kReadsAtOnce = 512;

struct Header {
  uint16_t version;
  MessageType type;
  uint32_t length;
  uint32_t fds;
  uint32_t crc;
};

std::array<uint8_t, kHeaderSize> encode(MessageType type, const vmstate::Writer& writer) {
  std::array<uint8_t, kHeaderSize> bytes{};
  store_le<uint32_t>(&bytes[0], kMagic);
  store_le<uint16_t>(&bytes[4], kProtocolVersion);
  store_le<uint16_t>(&bytes[6], static_cast<uint16_t>(type));
  store_le<uint32_t>(&bytes[8], static_cast<uint32_t>(writer.bytes().size()));
  store_le<uint32_t>(&bytes[12], static_cast<uint32_t>(writer.fds().size()));
  store_le<uint32_t>(&bytes[16], static_cast<uint32_t>(::crc32_z(0, writer.bytes().data(), writer.bytes().size())));
  return bytes;
}

Result<Header> decode(std::span<const uint8_t, kHeaderSize> bytes) {
  if (load_le<uint32_t>(&bytes[0]) != kMagic) return fail("what arrived is no Pagurus hand-over message");
  Header header{.version = load_le<uint16_t>(&bytes[4]),
                .type = static_cast<MessageType>(load_le<uint16_t>(&bytes[6])),
                .length = load_le<uint32_t>(&bytes[8]),
                .fds = load_le<uint32_t>(&bytes[12]),
                .crc = load_le<uint32_t>(&bytes[16])};
  if (header.version != kProtocolVersion) {
    return fail("the peer speaks hand-over protocol {}, this process {}", header.version, kProtocolVersion);
  }
  if (header.length > kMaxBody || header.fds > kMaxFds) {
    return fail("a message of {} bytes and {} file descriptors is too large", header.length, header.fds);
  }
  return header;
}

// Waits until `deadline_ns` for `events` on the socket.  False: the deadline passed.
Result<bool> wait_for(int socket, short events, int pidfd, int64_t deadline_ns) {
  std::array<pollfd, 2> fds{pollfd{socket, events, 0}, pollfd{pidfd, POLLIN, 0}};
  for (;;) {
    int64_t left_ns = std::max<int64_t>(deadline_ns - monotonic_ns(), 0);
    timespec timeout{left_ns / 1'000'000'000, left_ns % 1'000'000'000};
    int ready = ::ppoll(fds.data(), fds.size(), &timeout, nullptr);
    if (ready < 0 && errno == EINTR) continue;
    if (ready < 0) return fail_errno(errno, "cannot wait for the hand-over's channel");
    if (ready == 0) return false;
    // What a dying peer has sent is read before its death counts.
    if (fds[0].revents != 0) return true;
    return fail("the peer process died");
  }
}

Result<std::pair<UniqueFd, pid_t>> examine_peer(int socket) {
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) {
    return fail_errno(errno, "cannot ask who the peer is");
  }
  if (credentials.uid != ::geteuid()) {
    return fail("the peer runs as user {}, this process as user {}: a hand-over stays within one user", credentials.uid,
                ::geteuid());
  }
  UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, credentials.pid, 0)));
  if (!pidfd) return fail_errno(errno, "cannot watch the peer process {}", credentials.pid);
  return std::pair{std::move(pidfd), credentials.pid};
}

}  // namespace

Result<Channel> Channel::connect(const std::string& path) {
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    return fail("'{}' is no usable UNIX socket path: 1 to {} bytes", path, sizeof address.sun_path - 1);
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return fail_errno(errno, "cannot create a socket");
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    int error = errno;
    auto failure = fail_errno(error, "cannot connect to 'unix:{}'", path);
    if (error == ENOENT || error == ECONNREFUSED || error == EAGAIN) {
      return std::unexpected(std::move(failure.error())
                                 .remedy("no destination waits there: start one with -incoming defer and give it "
                                         "migrate-incoming first"));
    }
    return failure;
  }
  return of_socket(std::move(socket));
}

Result<Channel> Channel::of_socket(UniqueFd socket) {
  auto [pidfd, pid] = TRY(examine_peer(socket.get()));
  return Channel(std::move(socket), std::move(pidfd), pid);
}

void Channel::close() {
  socket_.reset();
  pidfd_.reset();
  received_fds_.clear();
  received_ = std::vector<uint8_t>();
  scratch_ = std::vector<uint8_t>();
}

Result<void> Channel::send_frame(MessageType type, const vmstate::Writer& writer, int64_t deadline_ns) {
  auto header = encode(type, writer);
  std::vector<uint8_t> bytes(header.begin(), header.end());
  bytes.insert(bytes.end(), writer.bytes().begin(), writer.bytes().end());

  size_t sent = 0;
  size_t fds_sent = 0;
  alignas(cmsghdr) std::array<char, CMSG_SPACE(kFdsPerCall * sizeof(int))> control{};
  while (sent < bytes.size() || fds_sent < writer.fds().size()) {
    size_t fds = std::min(kFdsPerCall, writer.fds().size() - fds_sent);
    bool more_fds = fds_sent + fds < writer.fds().size();
    // Descriptors need a byte to ride on; keep one for each further batch.
    size_t batch = more_fds ? 1 : bytes.size() - sent;
    CHECK(batch > 0, "a message with descriptors has more bytes than batches of descriptors");
    iovec data{bytes.data() + sent, batch};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    if (fds > 0) {
      message.msg_control = control.data();
      message.msg_controllen = CMSG_SPACE(fds * sizeof(int));
      cmsghdr* rights = CMSG_FIRSTHDR(&message);
      rights->cmsg_level = SOL_SOCKET;
      rights->cmsg_type = SCM_RIGHTS;
      rights->cmsg_len = CMSG_LEN(fds * sizeof(int));
      std::memcpy(CMSG_DATA(rights), writer.fds().data() + fds_sent, fds * sizeof(int));
    }
    ssize_t written = ::sendmsg(socket_.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (written > 0) {
      sent += static_cast<size_t>(written);
      fds_sent += fds;
      continue;
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN) return fail_errno(errno, "cannot send to the peer");
    if (!TRY(wait_for(socket_.get(), POLLOUT, pidfd_.get(), deadline_ns))) {
      return fail("the peer did not read in time");
    }
  }
  return {};
}

Result<std::optional<Message>> Channel::try_receive() {
  alignas(cmsghdr) std::array<char, CMSG_SPACE(kFdsPerCall * sizeof(int))> control{};
  for (int reads = 0; reads < kReadsAtOnce; ++reads) {
    if (auto message = TRY(take_complete_message())) return message;
    iovec data{scratch_.data(), scratch_.size()};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    ssize_t count = ::recvmsg(socket_.get(), &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    int error = errno;
    if (count < 0 && error == EINTR) continue;
    if (count < 0 && error == EAGAIN) return std::nullopt;
    if (count < 0) return fail_errno(error, "cannot receive from the peer");
    received_.insert(received_.end(), scratch_.begin(), scratch_.begin() + count);
    for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr; part = CMSG_NXTHDR(&message, part)) {
      if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
      size_t fds = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
      for (size_t i = 0; i < fds; ++i) {
        received_fds_.emplace_back(load_le<int>(CMSG_DATA(part) + i * sizeof(int)));
      }
    }
    if ((message.msg_flags & MSG_CTRUNC) != 0) return fail("more file descriptors arrived than this process may hold");
    if (received_fds_.size() > kMaxFds) return fail("more file descriptors arrived than any message has");
    if (count == 0) return fail("the peer closed the channel");
  }
  return take_complete_message();
}

Result<std::optional<Message>> Channel::take_complete_message() {
  if (received_.size() < kHeaderSize) return std::nullopt;
  Header header = TRY(decode(std::span<const uint8_t, kHeaderSize>(received_.data(), kHeaderSize)));
  size_t total = kHeaderSize + header.length;
  if (received_.size() < total) return std::nullopt;
  if (received_fds_.size() < header.fds)
    return fail("{} file descriptors arrived where {} were announced", received_fds_.size(), header.fds);
  Message message{.type = header.type, .body = {}, .fds = {}};
  message.body.assign(received_.begin() + kHeaderSize, received_.begin() + static_cast<ptrdiff_t>(total));
  if (::crc32_z(0, message.body.data(), message.body.size()) != header.crc) return fail("a message arrived damaged");
  auto end = received_fds_.begin() + header.fds;
  std::move(received_fds_.begin(), end, std::back_inserter(message.fds));
  received_fds_.erase(received_fds_.begin(), end);
  received_.erase(received_.begin(), received_.begin() + static_cast<ptrdiff_t>(total));
  if (received_.empty() && !received_fds_.empty()) {
    return fail("{} file descriptors arrived that belong to no message", received_fds_.size());
  }
  return message;
}

Result<Message> Channel::receive(int64_t deadline_ns) {
  for (;;) {
    if (auto message = TRY(try_receive())) return std::move(*message);
    // The time counts even if the peer goes on sending.
    if (monotonic_ns() >= deadline_ns || !TRY(wait_for(socket_.get(), POLLIN, pidfd_.get(), deadline_ns))) {
      return fail("the peer did not answer in time");
    }
  }
}

}  // namespace pagurus::wire
