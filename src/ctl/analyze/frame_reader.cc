#include "ctl/analyze/frame_reader.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "ctl/analyze/message_types.h"

namespace pagurus::ctl {
namespace {

// Linux passes no more in one call (SCM_MAX_FD).
constexpr size_t kFdsPerCall = 253;

}  // namespace

Result<FrameReader> FrameReader::create(UniqueFd fd, Patience patience) {
  struct stat info {};
  if (fstat(fd.get(), &info) < 0) return fail_errno(errno, "cannot look at the stream");
  return FrameReader(std::move(fd), S_ISSOCK(info.st_mode), patience);
}

Result<std::optional<Frame>> FrameReader::next() {
  Frame frame;
  frame.offset = offset_;
  // What has not arrived is as it should be, so that the beginning alone tells whether this is a message.
  auto header = wire::encode_header(wire::MessageType::kHello, vmstate::Writer());
  size_t size = TRY(read_up_to(header.data(), header.size(), frame.fds));
  if (size == 0) return std::nullopt;
  auto decoded = wire::decode_header(header);
  if (!decoded) return fail("at byte {} there is no Pagurus message", frame.offset);
  if (size < header.size()) {
    truncated_ = true;
    return std::nullopt;
  }
  frame.header = *decoded;
  frame.known = wire::check_header(frame.header).has_value() && declared(frame.header.type);
  if (!TRY(read_body(frame))) return std::nullopt;
  return frame;
}

// False: the stream ended in it.
Result<bool> FrameReader::read_body(Frame& frame) {
  uLong crc = crc32_z(0, nullptr, 0);
  for (size_t left = frame.header.length; left > 0;) {
    size_t wanted = std::min(left, chunk_.size());
    size_t size = TRY(read_up_to(chunk_.data(), wanted, frame.fds));
    crc = crc32_z(crc, chunk_.data(), size);
    if (frame.known) frame.body.insert(frame.body.end(), chunk_.begin(), chunk_.begin() + static_cast<ptrdiff_t>(size));
    if (size < wanted) {
      truncated_ = true;
      return false;
    }
    left -= size;
  }
  frame.checksum_right = crc == frame.header.crc;
  return true;
}

Result<size_t> FrameReader::read_up_to(uint8_t* buffer, size_t size, std::vector<UniqueFd>& fds) {
  size_t done = 0;
  while (done < size) {
    size_t some = TRY(read_some(buffer + done, size - done, fds));
    if (some == 0) break;
    done += some;
    offset_ += some;
  }
  return done;
}

// 0: the end.
Result<size_t> FrameReader::read_some(uint8_t* buffer, size_t size, std::vector<UniqueFd>& fds) {
  while (true) {
    if (TRY(wait_for(fd_.get(), POLLIN, patience_)) == Ready::kTimeout) return fail("nothing more arrived in time");
    if (socket_) return receive_some(buffer, size, fds);
    ssize_t count = read(fd_.get(), buffer, size);
    if (count >= 0) return static_cast<size_t>(count);
    if (errno != EINTR) return fail_errno(errno, "cannot read the file");
  }
}

Result<size_t> FrameReader::receive_some(uint8_t* buffer, size_t size, std::vector<UniqueFd>& fds) {
  alignas(cmsghdr) std::array<char, CMSG_SPACE(kFdsPerCall * sizeof(int))> control{};
  iovec data{buffer, size};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  ssize_t count = recvmsg(fd_.get(), &message, MSG_CMSG_CLOEXEC);
  if (count < 0 && errno == ECONNRESET) return 0;
  if (count < 0) return fail_errno(errno, "cannot receive from the source");
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr; part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    size_t number = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < number; ++i) fds.emplace_back(load_le<int>(CMSG_DATA(part) + i * sizeof(int)));
  }
  if ((message.msg_flags & MSG_CTRUNC) != 0 || fds.size() > wire::kMaxFds) {
    return fail("more file descriptors arrived than this process may hold");
  }
  return static_cast<size_t>(count);
}

}  // namespace pagurus::ctl
