#include "chardev/unix_listener.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace pagurus::chardev {
namespace {

constexpr int kBacklog = 16;

Result<sockaddr_un> make_address(const std::string& path) {
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  if (path.empty()) return fail("the path of a UNIX socket is empty");
  if (path.size() >= sizeof address.sun_path) {
    return fail("the path '{}' is too long for a UNIX socket: {} bytes, at most {} fit", path, path.size(),
                sizeof address.sun_path - 1);
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

const sockaddr* generic(const sockaddr_un& address) { return reinterpret_cast<const sockaddr*>(&address); }

Result<UniqueFd> make_socket() {
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail_errno(errno, "cannot create a UNIX socket");
  return fd;
}

// Removes the socket of a process that is gone.  Two processes that start at the same moment on the
// same stale path may both think so; one of them then listens on an unlinked socket.  That is the
// operator's race, not the guest's or a client's.
Result<void> remove_stale(const std::string& path, const sockaddr_un& address) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) return fail_errno(errno, "cannot examine '{}'", path);
  if (!S_ISSOCK(info.st_mode)) return fail("'{}' exists and is not a socket", path);
  auto probe = TRY(make_socket());
  bool dead = ::connect(probe.get(), generic(address), sizeof address) != 0 && errno == ECONNREFUSED;
  if (!dead) {
    return std::unexpected(Error(fmt::format("address in use: another process listens at '{}'", path))
                               .remedy("choose another path or end that process"));
  }
  if (::unlink(path.c_str()) != 0) return fail_errno(errno, "cannot remove the stale socket '{}'", path);
  return {};
}

Result<void> check_listening(int fd) {
  int domain = 0;
  int listening = 0;
  socklen_t size = sizeof domain;
  if (::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) != 0 || domain != AF_UNIX) {
    return fail("file descriptor {} is not a UNIX socket", fd);
  }
  size = sizeof listening;
  if (::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) != 0 || listening == 0) {
    return fail("file descriptor {} is not a listening socket", fd);
  }
  return {};
}

bool bound_to(int fd, const std::string& path) {
  sockaddr_un address{};
  socklen_t size = sizeof address;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) return false;
  return path == std::string_view(address.sun_path, ::strnlen(address.sun_path, sizeof address.sun_path));
}

}  // namespace

UnixListener::UnixListener(UniqueFd fd, std::string path) : fd_(std::move(fd)) { take_path(std::move(path)); }

void UnixListener::take_path(std::string path) {
  path_.clear();
  // Another process says so: believed of the path this socket is bound to, and of no other file.
  if (bound_to(fd_.get(), path)) path_ = std::move(path);
  struct stat info {};
  if (path_.empty() || ::lstat(path_.c_str(), &info) != 0) return;
  device_ = info.st_dev;
  inode_ = info.st_ino;
}

UnixListener::UnixListener(UnixListener&& other) noexcept
    : fd_(std::move(other.fd_)), path_(std::exchange(other.path_, {})), device_(other.device_), inode_(other.inode_) {}

UnixListener& UnixListener::operator=(UnixListener&& other) noexcept {
  if (this == &other) return *this;
  unlink_path();
  fd_ = std::move(other.fd_);
  path_ = std::exchange(other.path_, {});
  device_ = other.device_;
  inode_ = other.inode_;
  return *this;
}

UnixListener::~UnixListener() { unlink_path(); }

Result<UnixListener> UnixListener::bind(const std::string& path) {
  auto address = TRY(make_address(path));
  auto fd = TRY(make_socket());
  // The path gets the mode of the socket's inode.
  ::fchmod(fd.get(), 0600);
  bool bound = ::bind(fd.get(), generic(address), sizeof address) == 0;
  if (!bound && errno == EADDRINUSE) {
    TRY(remove_stale(path, address));
    bound = ::bind(fd.get(), generic(address), sizeof address) == 0;
  }
  if (!bound) return fail_errno(errno, "cannot bind a UNIX socket to '{}'", path);
  UnixListener listener(std::move(fd), path);
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
  return fail_errno(errno, "cannot accept a connection at '{}'", path_);
}

void UnixListener::unlink_path() {
  if (path_.empty()) return;
  struct stat info {};
  bool ours = ::lstat(path_.c_str(), &info) == 0 && info.st_dev == device_ && info.st_ino == inode_;
  if (ours) ::unlink(path_.c_str());
  path_.clear();
}

}  // namespace pagurus::chardev
