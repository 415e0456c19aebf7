#include "chardev/channel.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

namespace pagurus::chardev {
namespace {

// A pipe that polls writable has room for PIPE_BUF bytes.
constexpr size_t kPipeChunk = 4096;
// A terminal that polls writable has room for a byte.
constexpr size_t kTerminalChunk = 1;
constexpr size_t kReadChunk = 4096;

bool is_socket(int fd) {
  struct stat info {};
  return fd >= 0 && ::fstat(fd, &info) == 0 && S_ISSOCK(info.st_mode);
}

short poll_now(int fd, short events) {
  pollfd entry{.fd = fd, .events = events, .revents = 0};
  return ::poll(&entry, 1, 0) > 0 ? entry.revents : short{0};
}

ssize_t read_now(int fd, bool socket, std::span<uint8_t> to) {
  if (socket) return ::recv(fd, to.data(), to.size(), MSG_DONTWAIT);
  if (poll_now(fd, POLLIN) == 0) {
    errno = EAGAIN;
    return -1;
  }
  return ::read(fd, to.data(), to.size());
}

bool is_temporary(int error) { return error == EAGAIN || error == EINTR; }

}  // namespace

Channel::Channel(event::Loop& loop, Descriptors descriptors, std::function<void()> on_closed)
    : loop_(loop),
      fds_(std::move(descriptors)),
      on_closed_(std::move(on_closed)),
      self_(std::make_shared<Channel*>(this)),
      input_is_socket_(is_socket(fds_.input.get())),
      output_is_socket_(is_socket(fds_.output.get())),
      output_is_terminal_(fds_.output && ::isatty(fds_.output.get()) == 1),
      input_closed_(!fds_.input),
      output_dead_(!fds_.output) {}

Channel::~Channel() { stop(); }

void Channel::start(Frontend* frontend) {
  frontend_ = frontend;
  if (fds_.output && !output_watch_) {
    auto watch = loop_.watch_fd(fds_.output.get(), EPOLLOUT, [this](uint32_t) { output_ready(); });
    // A regular file cannot be watched and need not be: it is always writable.
    if (watch) {
      output_watch_ = std::move(*watch);
      output_watch_.set_enabled(false);
    }
  }
  if (frontend_ != nullptr && !input_closed_ && !input_watch_ && !input_unwatchable_) {
    auto watch = loop_.watch_fd(fds_.input.get(), EPOLLIN, [this](uint32_t) { input_ready(); });
    if (watch) input_watch_ = std::move(*watch);
    input_unwatchable_ = !input_watch_;
  }
  {
    std::lock_guard lock(lock_);
    running_ = true;
    waiting_ = false;
  }
  if (input_unwatchable_) want_input();
}

void Channel::stop() {
  {
    std::lock_guard lock(lock_);
    running_ = false;
  }
  input_watch_ = event::Watch();
  output_watch_ = event::Watch();
}

void Channel::post(void (Channel::*step)()) {
  loop_.post([weak = std::weak_ptr(self_), step] {
    // Keeps only the pointer's cell alive; the object itself is destroyed on this thread.
    if (auto self = weak.lock()) ((*self)->*step)();
  });
}

size_t Channel::write(std::span<const uint8_t> bytes) {
  std::lock_guard lock(lock_);
  if (!running_) return 0;
  size_t taken = 0;
  while (!output_dead_ && taken < bytes.size()) {
    size_t some = write_some(bytes.subspan(taken));
    if (some == 0) break;
    taken += some;
  }
  if (output_dead_) return bytes.size();
  if (taken < bytes.size() && !waiting_) {
    waiting_ = true;
    post(&Channel::wait_for_output);
  }
  return taken;
}

// Under lock_.  0: it would block, or the output is dead now.
size_t Channel::write_some(std::span<const uint8_t> bytes) {
  int fd = fds_.output.get();
  ssize_t written = -1;
  if (output_is_socket_) {
    written = ::send(fd, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  } else {
    short ready = poll_now(fd, POLLOUT);
    bool broken = (ready & (POLLERR | POLLHUP | POLLNVAL)) != 0;
    if (!broken && (ready & POLLOUT) == 0) return 0;
    errno = EPIPE;
    size_t chunk = std::min(bytes.size(), output_is_terminal_ ? kTerminalChunk : kPipeChunk);
    if (!broken) written = ::write(fd, bytes.data(), chunk);
  }
  if (written >= 0) return static_cast<size_t>(written);
  if (is_temporary(errno)) return 0;
  output_dead_ = true;
  post(&Channel::notify_closed);
  return 0;
}

void Channel::wait_for_output() {
  if (output_watch_) {
    output_watch_.set_enabled(true);
  } else {
    post(&Channel::output_ready);
  }
}

void Channel::output_ready() {
  output_watch_.set_enabled(false);
  {
    std::lock_guard lock(lock_);
    if (!running_) return;
    waiting_ = false;
  }
  if (frontend_ != nullptr) frontend_->writable();
}

void Channel::want_input() { post(&Channel::resume_input); }

void Channel::resume_input() {
  if (input_watch_) {
    input_watch_.set_enabled(true);
  } else if (input_unwatchable_) {
    input_ready();
  }
}

void Channel::input_ready() {
  {
    std::lock_guard lock(lock_);
    if (!running_) return;
  }
  if (input_closed_ || frontend_ == nullptr) return;
  size_t room = frontend_->can_receive();
  if (room == 0) {
    input_watch_.set_enabled(false);
    return;
  }
  std::array<uint8_t, kReadChunk> buffer;
  ssize_t got = read_now(fds_.input.get(), input_is_socket_, std::span(buffer).first(std::min(room, buffer.size())));
  if (got < 0 && is_temporary(errno)) return;
  if (got <= 0) {
    close_input();
    return;
  }
  frontend_->receive(std::span(buffer).first(static_cast<size_t>(got)));
  if (input_unwatchable_) want_input();
}

void Channel::close_input() {
  input_closed_ = true;
  input_watch_ = event::Watch();
  input_unwatchable_ = false;
  notify_closed();
}

void Channel::notify_closed() {
  if (std::exchange(closed_notified_, true)) return;
  // The callback may destroy this object, and with it the function.
  auto callback = on_closed_;
  if (callback) callback();
}

}  // namespace pagurus::chardev
