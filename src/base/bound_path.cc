#include "base/bound_path.h"

#include <sys/socket.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/socket.h"

namespace pagurus {
namespace {

const sockaddr* generic(const sockaddr_un& address) { return reinterpret_cast<const sockaddr*>(&address); }

Result<UniqueFd> make_socket(int type) {
  UniqueFd fd(::socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail_errno(errno, "cannot create a UNIX socket");
  return fd;
}

// Removes the socket of a process that is gone.  Two processes that start at the same moment on the
// same stale path may both think so; one of them then listens on an unlinked socket.  That is the
// operator's race, not the guest's or a client's.
Result<void> remove_stale(const std::string& path, const sockaddr_un& address, int type) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) return fail_errno(errno, "cannot examine '{}'", path);
  if (!S_ISSOCK(info.st_mode)) return fail("'{}' exists and is not a socket", path);
  auto probe = TRY(make_socket(type));
  bool dead = ::connect(probe.get(), generic(address), sizeof address) != 0 && errno == ECONNREFUSED;
  if (!dead) {
    return std::unexpected(Error(fmt::format("address in use: another process listens at '{}'", path))
                               .remedy("choose another path or end that process"));
  }
  if (::unlink(path.c_str()) != 0) return fail_errno(errno, "cannot remove the stale socket '{}'", path);
  return {};
}

bool bound_to(int fd, const std::string& path) {
  sockaddr_un address{};
  socklen_t size = sizeof address;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) return false;
  return path == std::string_view(address.sun_path, ::strnlen(address.sun_path, sizeof address.sun_path));
}

}  // namespace

Result<UniqueFd> bind_unix(const std::string& path, int type) {
  auto address = TRY(unix_address(path));
  auto fd = TRY(make_socket(type));
  // The path gets the mode of the socket's inode.
  ::fchmod(fd.get(), 0600);
  bool bound = ::bind(fd.get(), generic(address), sizeof address) == 0;
  if (!bound && errno == EADDRINUSE) {
    TRY(remove_stale(path, address, type));
    bound = ::bind(fd.get(), generic(address), sizeof address) == 0;
  }
  if (!bound) return fail_errno(errno, "cannot bind a UNIX socket to '{}'", path);
  return fd;
}

void BoundPath::take(int fd, std::string path) {
  path_.clear();
  // Another process says so: believed of the path this socket is bound to, and of no other file.
  if (bound_to(fd, path)) path_ = std::move(path);
  struct stat info {};
  if (path_.empty() || ::lstat(path_.c_str(), &info) != 0) return;
  device_ = info.st_dev;
  inode_ = info.st_ino;
}

BoundPath::BoundPath(BoundPath&& other) noexcept
    : path_(std::exchange(other.path_, {})), device_(other.device_), inode_(other.inode_) {}

BoundPath& BoundPath::operator=(BoundPath&& other) noexcept {
  if (this == &other) return *this;
  unlink_path();
  path_ = std::exchange(other.path_, {});
  device_ = other.device_;
  inode_ = other.inode_;
  return *this;
}

BoundPath::~BoundPath() { unlink_path(); }

void BoundPath::unlink_path() {
  if (path_.empty()) return;
  struct stat info {};
  bool ours = ::lstat(path_.c_str(), &info) == 0 && info.st_dev == device_ && info.st_ino == inode_;
  if (ours) ::unlink(path_.c_str());
  path_.clear();
}

}  // namespace pagurus
