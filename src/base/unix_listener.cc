#include "base/unix_listener.h"

#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "base/socket.h"

namespace pagurus {
namespace {

constexpr int kBacklog = 16;

Result<void> check_listening(int fd) {
  auto kind = socket_kind(fd);
  if (!kind || kind->family != AF_UNIX) return fail("file descriptor {} is not a UNIX socket", fd);
  return check_listener(fd);
}

}  // namespace

UnixListener::UnixListener(UniqueFd fd, std::string path) : fd_(std::move(fd)) { take_path(std::move(path)); }

Result<UnixListener> UnixListener::bind(const std::string& path) {
  UnixListener listener(TRY(bind_unix(path, SOCK_STREAM)), path);
  if (::listen(listener.fd(), kBacklog) != 0) return fail_errno(errno, "cannot listen at '{}'", path);
  return listener;
}

Result<UnixListener> UnixListener::of_fd(UniqueFd fd) {
  TRY(check_listening(fd.get()));
  return UnixListener(std::move(fd), {});
}

Result<std::optional<UniqueFd>> UnixListener::accept() const {
  // A descriptor given by the operator may be blocking.
  pollfd ready{.fd = fd_.get(), .events = POLLIN, .revents = 0};
  if (::poll(&ready, 1, 0) <= 0) return std::nullopt;
  UniqueFd client(::accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (client) return std::optional(std::move(client));
  if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED) return std::nullopt;
  return fail_errno(errno, "cannot accept a connection at '{}'", path());
}

}  // namespace pagurus
