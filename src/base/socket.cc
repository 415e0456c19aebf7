#include "base/socket.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace pagurus {
namespace {

constexpr int kBacklog = 16;
// How long a connection may be without an answer to what was sent before it counts as broken.
constexpr int kTcpUserTimeoutMs = 30'000;
constexpr int kTcpKeepIdleS = 10;

Result<UniqueFd> make_socket(int family, int type) {
  UniqueFd fd(::socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail_errno(errno, "cannot create a socket");
  return fd;
}

}  // namespace

Result<sockaddr_un> unix_address(const std::string& path) {
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  if (path.empty()) return fail("the path of a UNIX socket is empty");
  if (path.size() >= sizeof address.sun_path) {
    return fail("the path '{}' is too long for a UNIX socket: {} bytes, at most {} fit", path, path.size(),
                sizeof address.sun_path - 1);
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

Result<AddressInfo> resolve(const HostPort& address, int socket_type, int flags) {
  addrinfo hints{};
  hints.ai_socktype = socket_type;
  hints.ai_flags = flags | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  int error =
      ::getaddrinfo(address.host.empty() ? nullptr : address.host.c_str(), address.port.c_str(), &hints, &found);
  if (error != 0) return fail("cannot resolve '{}:{}': {}", address.host, address.port, ::gai_strerror(error));
  return AddressInfo(found, &::freeaddrinfo);
}

// Best effort: a kernel that lacks one of them notices a vanished peer later.
void tune_tcp(int socket) {
  int on = 1;
  ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  ::setsockopt(socket, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  ::setsockopt(socket, IPPROTO_TCP, TCP_KEEPIDLE, &kTcpKeepIdleS, sizeof kTcpKeepIdleS);
  ::setsockopt(socket, IPPROTO_TCP, TCP_KEEPINTVL, &kTcpKeepIdleS, sizeof kTcpKeepIdleS);
  ::setsockopt(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, &kTcpUserTimeoutMs, sizeof kTcpUserTimeoutMs);
}

Result<UniqueFd> connect_tcp(const HostPort& address) {
  return connect_tcp(address, *TRY(resolve(address, SOCK_STREAM, 0)));
}

Result<UniqueFd> connect_tcp(const HostPort& address, const addrinfo& found) {
  // The first address is taken: trying the others would need to wait.
  auto socket = TRY(make_socket(found.ai_family, SOCK_STREAM));
  tune_tcp(socket.get());
  if (::connect(socket.get(), found.ai_addr, found.ai_addrlen) != 0 && errno != EINPROGRESS) {
    return fail_errno(errno, "cannot connect to '{}:{}'", address.host, address.port);
  }
  return socket;
}

Result<UnixConnection> connect_unix(const std::string& path) {
  auto address = TRY(unix_address(path));
  UnixConnection connection{.socket = TRY(make_socket(AF_UNIX, SOCK_STREAM))};
  if (::connect(connection.socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    connection.error = errno;
  }
  return connection;
}

int connection_error(int socket) {
  int error = 0;
  socklen_t size = sizeof error;
  if (::getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &size) != 0) return errno;
  return error;
}

Result<UniqueFd> listen_tcp(const HostPort& address) {
  auto found = TRY(resolve(address, SOCK_STREAM, AI_PASSIVE));
  auto socket = TRY(make_socket(found->ai_family, SOCK_STREAM));
  int on = 1;
  ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (::bind(socket.get(), found->ai_addr, found->ai_addrlen) != 0 || ::listen(socket.get(), kBacklog) != 0) {
    return fail_errno(errno, "cannot listen at '{}:{}'", address.host, address.port);
  }
  return socket;
}

Result<SocketKind> socket_kind(int fd) {
  SocketKind kind;
  socklen_t size = sizeof(int);
  int listening = 0;
  bool socket = ::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &kind.family, &size) == 0 &&
                ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &kind.type, &size) == 0 &&
                ::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) == 0;
  if (!socket) return fail("file descriptor {} is not a socket", fd);
  kind.listening = listening != 0;
  sockaddr_storage peer{};
  size = sizeof peer;
  kind.connected = ::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) == 0;
  return kind;
}

Result<void> check_connection(int fd) {
  auto kind = socket_kind(fd);
  if (!kind || kind->type != SOCK_STREAM) return fail("file descriptor {} is not a stream socket", fd);
  if (kind->listening) {
    return fail("file descriptor {} is a listening socket where a connection is expected", fd);
  }
  return {};
}

Result<void> check_listener(int fd) {
  auto kind = socket_kind(fd);
  if (!kind || kind->type != SOCK_STREAM) return fail("file descriptor {} is not a stream socket", fd);
  if (!kind->listening) return fail("file descriptor {} is not a listening socket", fd);
  return {};
}

}  // namespace pagurus
