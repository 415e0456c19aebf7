#include "migration/address.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>
#include <memory>

namespace pagurus::migration {
namespace {

constexpr int kBacklog = 16;
// How long a connection may be without an answer to what was sent before it counts as broken.
constexpr int kTcpUserTimeoutMs = 30'000;
constexpr int kTcpKeepIdleS = 10;

// "HOST:PORT" or "[HOST]:PORT".
Result<Address> parse_tcp(const std::string& uri, const std::string& rest) {
  Address address{.kind = Address::Kind::kTcp};
  size_t colon = rest.rfind(':');
  if (colon == std::string::npos || colon + 1 == rest.size()) {
    return fail("the migration URI '{}' has no port: tcp:HOST:PORT", uri);
  }
  address.host = rest.substr(0, colon);
  address.port = rest.substr(colon + 1);
  if (address.host.starts_with('[') && address.host.ends_with(']')) {
    address.host = address.host.substr(1, address.host.size() - 2);
  } else if (address.host.find(':') != std::string::npos) {
    return fail("the migration URI '{}': an IPv6 address is written in brackets: tcp:[ADDRESS]:PORT", uri);
  }
  return address;
}

using AddressInfo = std::unique_ptr<addrinfo, void (*)(addrinfo*)>;

Result<AddressInfo> resolve(const Address& address, int flags) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  int error =
      ::getaddrinfo(address.host.empty() ? nullptr : address.host.c_str(), address.port.c_str(), &hints, &found);
  if (error != 0) return fail("cannot resolve 'tcp:{}:{}': {}", address.host, address.port, ::gai_strerror(error));
  return AddressInfo(found, &::freeaddrinfo);
}

// Best effort: a kernel that lacks one of them notices a vanished peer later.
void tune(int socket) {
  int on = 1;
  ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  ::setsockopt(socket, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  ::setsockopt(socket, IPPROTO_TCP, TCP_KEEPIDLE, &kTcpKeepIdleS, sizeof kTcpKeepIdleS);
  ::setsockopt(socket, IPPROTO_TCP, TCP_KEEPINTVL, &kTcpKeepIdleS, sizeof kTcpKeepIdleS);
  ::setsockopt(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, &kTcpUserTimeoutMs, sizeof kTcpUserTimeoutMs);
}

Result<wire::Channel> connect_tcp(const Address& address) {
  auto found = TRY(resolve(address, 0));
  // The first address is taken: trying the others would need to wait.
  UniqueFd socket(::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return fail_errno(errno, "cannot create a socket");
  tune(socket.get());
  if (::connect(socket.get(), found->ai_addr, found->ai_addrlen) != 0 && errno != EINPROGRESS) {
    return fail_errno(errno, "cannot connect to 'tcp:{}:{}'", address.host, address.port);
  }
  return wire::Channel::of_tcp(std::move(socket));
}

Result<wire::Channel> connect_unix(const std::string& path) {
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
  return wire::Channel::of_unix(std::move(socket));
}

Result<wire::Channel> create_file(const std::string& path) {
  // O_NONBLOCK: a FIFO would be waited for here.
  UniqueFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NONBLOCK, 0600));
  if (!file) return fail_errno(errno, "cannot create '{}'", path);
  struct stat info {};
  if (::fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode)) return fail("'{}' is not a regular file", path);
  return wire::Channel::of_file(std::move(file));
}

Result<UniqueFd> listen_tcp(const Address& address) {
  auto found = TRY(resolve(address, AI_PASSIVE));
  UniqueFd socket(::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return fail_errno(errno, "cannot create a socket");
  int on = 1;
  ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (::bind(socket.get(), found->ai_addr, found->ai_addrlen) != 0 || ::listen(socket.get(), kBacklog) != 0) {
    return fail_errno(errno, "cannot listen at 'tcp:{}:{}'", address.host, address.port);
  }
  return socket;
}

}  // namespace

Result<Address> Address::parse(const std::string& uri) {
  auto rest_after = [&uri](std::string_view scheme) -> std::optional<std::string> {
    if (!uri.starts_with(scheme)) return std::nullopt;
    return uri.substr(scheme.size());
  };
  if (auto path = rest_after("unix:")) {
    if (path->empty()) return fail("the migration URI 'unix:' has no path: unix:/path/of/socket");
    return Address{.kind = Kind::kUnix, .path = *path};
  }
  if (auto path = rest_after("file:")) {
    if (path->empty()) return fail("the migration URI 'file:' has no path: file:/path/of/file");
    return Address{.kind = Kind::kFile, .path = *path};
  }
  if (auto rest = rest_after("tcp:")) return parse_tcp(uri, *rest);
  return fail("'{}' is no migration URI: unix:PATH, tcp:HOST:PORT or file:PATH", uri);
}

Result<wire::Channel> connect(const Address& address) {
  switch (address.kind) {
    case Address::Kind::kUnix: return connect_unix(address.path);
    case Address::Kind::kTcp: return connect_tcp(address);
    case Address::Kind::kFile: return create_file(address.path);
  }
  return fail("an address of no kind");
}

Result<wire::Channel> open_file(const Address& address) {
  UniqueFd file(::open(address.path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file) return fail_errno(errno, "cannot open '{}'", address.path);
  struct stat info {};
  if (::fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode))
    return fail("'{}' is not a regular file", address.path);
  return wire::Channel::of_file(std::move(file));
}

Result<Listener> Listener::bind(const Address& address) {
  Listener listener;
  if (address.kind == Address::Kind::kUnix) {
    listener.unix_ = TRY(chardev::UnixListener::bind(address.path));
  } else {
    listener.tcp_ = TRY(listen_tcp(address));
  }
  return listener;
}

Result<std::optional<wire::Channel>> Listener::accept() const {
  if (unix_) {
    auto socket = TRY(unix_->accept());
    if (!socket) return std::nullopt;
    return TRY(wire::Channel::of_unix(std::move(*socket)));
  }
  UniqueFd socket(::accept4(tcp_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!socket && (errno == EAGAIN || errno == ECONNABORTED || errno == EINTR)) return std::nullopt;
  if (!socket) return fail_errno(errno, "cannot accept a connection");
  tune(socket.get());
  return wire::Channel::of_tcp(std::move(socket));
}

}  // namespace pagurus::migration
