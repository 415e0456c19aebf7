#include "net/stream_port.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/iovec.h"

namespace pagurus::net {
namespace {

constexpr size_t kMaxIovecs = 1024;  // UIO_MAXIOV

// O_NONBLOCK belongs to everybody who shares the socket; this does not.
ssize_t receive_message(int socket, std::span<iovec> parts) {
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = parts.size();
  return ::recvmsg(socket, &message, MSG_DONTWAIT);
}

ssize_t send_message(int socket, std::span<iovec> parts) {
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = parts.size();
  return ::sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

bool is_temporary(int error) { return error == EAGAIN || error == EINTR; }

size_t total(std::span<const iovec> parts) {
  size_t bytes = 0;
  for (const iovec& part : parts) bytes += part.iov_len;
  return bytes;
}

bool is_frame_length(size_t length) { return length != 0 && length <= kMaxStreamFrame; }

uint32_t load_length(const uint8_t* bytes) {
  uint32_t value = 0;
  std::memcpy(&value, bytes, sizeof value);
  return ntohl(value);
}

}  // namespace

Result<void> StreamRemains::validate() const {
  if (received.size() >= kStreamLengthBytes) {
    size_t length = load_length(received.data());
    if (!is_frame_length(length)) return fail("a frame of {} bytes was begun", length);
    if (received.size() - kStreamLengthBytes >= length) return fail("more was received than a part of a frame");
  }
  return {};
}

uint32_t StreamPort::Length::value() const { return load_length(bytes.data()); }

IoResult StreamPort::receive(std::span<const iovec> frame) {
  if (!socket_) return {IoStatus::kWouldBlock, 0};
  if (broken()) return {IoStatus::kDropped, 0};
  while (length_.have < kStreamLengthBytes) {
    iovec part{length_.bytes.data() + length_.have, kStreamLengthBytes - length_.have};
    ssize_t size = receive_message(socket_.get(), {&part, 1});
    if (size <= 0) return read_failed(size);
    length_.have += static_cast<size_t>(size);
  }
  size_t length = length_.value();
  if (!is_frame_length(length)) return no_frame();
  // Two parts are ours: what does not fit, and the next length.
  bool direct = body_.empty() && frame.size() <= kMaxIovecs - 2;
  return direct ? receive_direct(frame, length) : receive_gathered(frame, length);
}

IoResult StreamPort::receive_direct(std::span<const iovec> frame, size_t length) {
  parts_.clear();
  size_t room = 0;
  for (const iovec& part : frame) {
    size_t size = std::min(part.iov_len, length - room);
    if (size != 0) parts_.push_back({part.iov_base, size});
    room += size;
  }
  if (room < length) {
    overflow_.resize(kMaxStreamFrame);
    parts_.push_back({overflow_.data(), length - room});
  }
  parts_.push_back({next_.bytes.data(), kStreamLengthBytes});
  ssize_t result = receive_message(socket_.get(), parts_);
  if (result <= 0) return read_failed(result);
  auto size = static_cast<size_t>(result);
  if (size < length) {
    body_.resize(size);
    copy_from(parts_, body_);
    return {IoStatus::kWouldBlock, 0};
  }
  begin_next(size - length);
  return {IoStatus::kOk, room};
}

IoResult StreamPort::receive_gathered(std::span<const iovec> frame, size_t length) {
  while (body_.size() < length) {
    size_t have = body_.size();
    body_.resize(length);
    std::array parts{iovec{body_.data() + have, length - have}, iovec{next_.bytes.data(), kStreamLengthBytes}};
    ssize_t result = receive_message(socket_.get(), parts);
    size_t size = result > 0 ? static_cast<size_t>(result) : 0;
    body_.resize(std::min(length, have + size));
    if (result <= 0) return read_failed(result);
    if (have + size >= length) begin_next(have + size - length);
  }
  size_t bytes = copy_to(frame, 0, body_);
  body_.clear();
  return {IoStatus::kOk, bytes};
}

// The frame is whole, and `bytes` of the next one's length came with it.
void StreamPort::begin_next(size_t bytes) {
  length_.bytes = next_.bytes;
  length_.have = bytes;
}

IoResult StreamPort::read_failed(ssize_t result) {
  if (result == 0) return break_off("it closed the connection");
  if (is_temporary(errno)) return {IoStatus::kWouldBlock, 0};
  return break_off(std::strerror(errno));
}

IoResult StreamPort::no_frame() {
  return break_off(
      fmt::format("it sent a frame of {} bytes, where 1 to {} are possible", length_.value(), kMaxStreamFrame));
}

IoResult StreamPort::break_off(std::string why) {
  break_reason_ = std::move(why);
  broken_.store(true, std::memory_order_release);
  signal_eventfd(attention_);
  return {IoStatus::kDropped, 0};
}

IoResult StreamPort::transmit(std::span<const iovec> frame) {
  if (!socket_ || broken()) return {IoStatus::kDropped, 0};
  size_t length = total(frame);
  if (!is_frame_length(length)) return {IoStatus::kDropped, 0};
  std::lock_guard lock(send_lock_);
  if (!flush_locked()) return {IoStatus::kWouldBlock, 0};
  uint32_t prefix = htonl(static_cast<uint32_t>(length));
  std::vector<uint8_t> joined;
  sent_parts_.assign(1, {&prefix, sizeof prefix});
  if (frame.size() < kMaxIovecs) {
    sent_parts_.insert(sent_parts_.end(), frame.begin(), frame.end());
  } else {
    joined.resize(length);
    copy_from(frame, joined);
    sent_parts_.push_back({joined.data(), joined.size()});
  }
  ssize_t result = send_message(socket_.get(), sent_parts_);
  // Who is gone is noticed by reading, behind what it has sent before.
  if (result < 0) return {is_temporary(errno) ? IoStatus::kWouldBlock : IoStatus::kDropped, 0};
  auto rest = skip_front(sent_parts_, static_cast<size_t>(result));
  if (!rest.empty()) {
    unsent_.resize(total(rest));
    copy_from(rest, unsent_);
    signal_eventfd(attention_);
  }
  return {IoStatus::kOk, length};
}

bool StreamPort::flush() {
  std::lock_guard lock(send_lock_);
  return !socket_ || broken() || flush_locked();
}

bool StreamPort::flush_locked() {
  if (unsent_.empty()) return true;
  iovec part{unsent_.data(), unsent_.size()};
  ssize_t result = send_message(socket_.get(), {&part, 1});
  if (result < 0 && is_temporary(errno)) return false;
  // Nobody is there to take the rest.
  auto gone = result < 0 ? static_cast<ptrdiff_t>(unsent_.size()) : result;
  unsent_.erase(unsent_.begin(), unsent_.begin() + gone);
  return unsent_.empty();
}

void StreamPort::connect(UniqueFd socket, StreamRemains remains) {
  socket_ = std::move(socket);
  broken_ = false;
  std::lock_guard lock(send_lock_);
  unsent_ = std::move(remains.unsent);
  length_.have = std::min(remains.received.size(), kStreamLengthBytes);
  std::copy_n(remains.received.begin(), length_.have, length_.bytes.begin());
  body_.assign(remains.received.begin() + static_cast<ptrdiff_t>(length_.have), remains.received.end());
  if (!unsent_.empty()) signal_eventfd(attention_);
}

void StreamPort::look() {
  if (!socket_ || broken()) return;
  if (length_.have == kStreamLengthBytes && !is_frame_length(length_.value())) {
    (void)no_frame();
    return;
  }
  uint8_t byte = 0;
  ssize_t result = ::recv(socket_.get(), &byte, sizeof byte, MSG_DONTWAIT | MSG_PEEK);
  if (result <= 0) (void)read_failed(result);
}

void StreamPort::disconnect() { connect({}, {}); }

StreamRemains StreamPort::remains() const {
  StreamRemains remains;
  auto begun = std::span(length_.bytes).first(length_.have);
  remains.received.assign(begun.begin(), begun.end());
  remains.received.insert(remains.received.end(), body_.begin(), body_.end());
  std::lock_guard lock(send_lock_);
  remains.unsent = unsent_;
  return remains;
}

}  // namespace pagurus::net
