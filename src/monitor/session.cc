#include "monitor/session.h"

#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "base/log.h"
#include "monitor/protocol.h"

namespace pagurus::monitor {
namespace {

using qapi::Json;

// Descriptors accepted with one read; the kernel's own limit per message is 253.
constexpr size_t kMaxFdsPerRead = 16;
constexpr size_t kMaxFdsHeld = 64;

struct ReadResult {
  ssize_t size;  // as of read()
  std::vector<UniqueFd> fds;
};

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

ReadResult read_available(int fd, std::array<char, 16384>& buffer) {
  alignas(cmsghdr) std::array<char, CMSG_SPACE(kMaxFdsPerRead * sizeof(int))> control;
  iovec bytes{buffer.data(), buffer.size()};
  msghdr message{};
  message.msg_iov = &bytes;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  ssize_t size = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (size >= 0) return {size, received_fds(message)};
  if (errno != ENOTSOCK) return {size, {}};
  return {read(fd, buffer.data(), buffer.size()), {}};
}

// write() that never waits, without O_NONBLOCK: that flag belongs to the open file description, and
// a terminal's is shared with the shell.
ssize_t write_available(int fd, std::string_view bytes) {
  ssize_t sent = send(fd, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent >= 0 || errno != ENOTSOCK) return sent;
  pollfd ready{fd, POLLOUT, 0};
  if (poll(&ready, 1, 0) == 0) {
    errno = EAGAIN;
    return -1;
  }
  // A pipe that is ready takes this much at once (POSIX: PIPE_BUF).
  return write(fd, bytes.data(), std::min<size_t>(bytes.size(), 4096));
}

}  // namespace

Session::Session(Stream stream, const CommandTable& commands, std::function<void()> on_closed)
    : stream_(std::move(stream)), commands_(commands), on_closed_(std::move(on_closed)) {}

Session::~Session() = default;

Result<std::unique_ptr<Session>> Session::create(event::Loop& loop, Stream stream, const CommandTable& commands,
                                                 std::function<void()> on_closed) {
  std::unique_ptr<Session> session(new Session(std::move(stream), commands, std::move(on_closed)));
  TRY(session->start(loop));
  return session;
}

Result<void> Session::start(event::Loop& loop) {
  auto input = loop.watch_fd(stream_.input.get(), EPOLLIN, [this](uint32_t events) { on_input(events); });
  if (!input) {
    return fail("cannot read QMP commands from a regular file (use a socket, a pipe or a terminal)");
  }
  input_watch_ = std::move(*input);
  if (stream_.output) {
    // A regular file as output cannot be watched and is never busy.
    auto output = loop.watch_fd(stream_.output.get(), 0, [this](uint32_t) { on_writable(); });
    if (output) output_watch_ = std::move(*output);
  }
  send(greeting());
  return {};
}

void Session::on_input(uint32_t events) {
  if ((events & EPOLLOUT) != 0) on_writable();
  if (state_ != State::kClosed && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) read_some();
}

void Session::on_writable() {
  flush();
  execute_pending();
}

void Session::read_some() {
  std::array<char, 16384> buffer;
  auto [size, fds] = read_available(stream_.input.get(), buffer);
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (size <= 0) return close();
  for (UniqueFd& fd : fds) {
    if (fds_.size() < kMaxFdsHeld) fds_.push_back(std::move(fd));
  }
  reader_.feed({buffer.data(), static_cast<size_t>(size)});
  execute_pending();
}

void Session::execute_pending() {
  bool executed = false;
  // With replies waiting, the rest stays in the reader until flush() has made room.
  while (state_ != State::kClosed && queue_.empty()) {
    auto message = reader_.next();
    if (!message) break;
    send(answer(*message));
    executed = true;
  }
  // Descriptors arrive with the bytes of their command, so once no command is half read, those left
  // over belong to none.
  if (executed && reader_.idle()) fds_.clear();
}

Json Session::answer(const Result<Json>& message) {
  if (!message) return error_reply(message.error(), nullptr);
  const Json* id = message->find("id");
  auto result = execute(*message);
  return result ? success_reply(std::move(*result), id) : error_reply(result.error(), id);
}

Result<Json> Session::execute(const Json& message) {
  Request request = TRY(parse_request(message));
  qapi::Arguments arguments(std::move(request.arguments));
  if (request.command == "qmp_capabilities") return negotiate(std::move(arguments));
  if (state_ == State::kGreeted) {
    return std::unexpected(
        Error("Expecting capabilities negotiation with 'qmp_capabilities'", ErrorClass::kCommandNotFound));
  }
  Call call{std::move(arguments), fds_};
  return commands_.execute(request.command, call);
}

Result<Json> Session::negotiate(qapi::Arguments arguments) {
  if (state_ == State::kNegotiated) {
    return std::unexpected(
        Error("Capabilities negotiation is already complete, command ignored", ErrorClass::kCommandNotFound));
  }
  if (arguments.has("enable")) {
    for (const Json& capability : TRY(arguments.take_array("enable"))) {
      if (!capability.is_string()) return qapi::wrong_parameter_type("enable", "array of string");
      return fail("Capability '{}' is not available", capability.as_string());
    }
  }
  TRY(arguments.finish());
  state_ = State::kNegotiated;
  return Json::object();
}

void Session::send_event(const Json& event) {
  if (state_ == State::kNegotiated) send(event);
}

void Session::send(const Json& message) {
  if (state_ == State::kClosed) return;
  queue_ += message.text();
  queue_ += "\r\n";
  flush();
  if (state_ != State::kClosed && queue_.size() > kMaxQueue) {
    log_warning("a QMP client does not read what it is sent; its connection is closed");
    close();
  }
}

void Session::flush() {
  if (state_ == State::kClosed) return;
  size_t sent = 0;
  while (sent < queue_.size()) {
    ssize_t size = write_available(output_fd(), std::string_view(queue_).substr(sent));
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && errno == EAGAIN) break;
    if (size < 0) return close();
    sent += static_cast<size_t>(size);
  }
  queue_.erase(0, sent);
  update_watches();
}

void Session::update_watches() {
  bool waiting = !queue_.empty();
  if (output_watch_) {
    output_watch_.set_events(waiting ? uint32_t{EPOLLOUT} : 0);
    input_watch_.set_events(waiting ? 0 : uint32_t{EPOLLIN});
  } else {
    input_watch_.set_events(waiting ? EPOLLOUT : EPOLLIN);
  }
}

void Session::close() {
  state_ = State::kClosed;
  input_watch_ = event::Watch();
  output_watch_ = event::Watch();
  queue_.clear();
  fds_.clear();
  on_closed_();
}

}  // namespace pagurus::monitor
