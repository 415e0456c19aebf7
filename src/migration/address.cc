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

// "HOST:PORT" or "[HOST]:PORT".
Result<Address> parse_tcp(const std::string& uri, const std::string& rest) {
  Address address{.kind = Address::Kind::kTcp};
  size_t colon = rest.rfind(':');
  if (colon == std::string::npos || colon + 1 == rest.size()) {
    return fail("the migration URI '{}' has no port: tcp:HOST:PORT", uri);
  }
  address.tcp.host = rest.substr(0, colon);
  address.tcp.port = rest.substr(colon + 1);
  if (address.tcp.host.starts_with('[') && address.tcp.host.ends_with(']')) {
    address.tcp.host = address.tcp.host.substr(1, address.tcp.host.size() - 2);
  } else if (address.tcp.host.find(':') != std::string::npos) {
    return fail("the migration URI '{}': an IPv6 address is written in brackets: tcp:[ADDRESS]:PORT", uri);
  }
  return address;
}

Result<wire::Channel> connect_by_tcp(const Address& address) {
  std::string doing = fmt::format("'tcp:{}:{}'", address.tcp.host, address.tcp.port);
  return wire::Channel::of_tcp(TRY_DOING(doing, connect_tcp(address.tcp)));
}

Result<wire::Channel> connect_by_unix(const std::string& path) {
  auto connection = TRY(connect_unix(path));
  if (connection.error == 0) return wire::Channel::of_unix(std::move(connection.socket));
  int error = connection.error;
  auto failure = fail_errno(error, "cannot connect to 'unix:{}'", path);
  if (error == ENOENT || error == ECONNREFUSED || error == EAGAIN) {
    return std::unexpected(std::move(failure.error())
                               .remedy("no destination waits there: start one with -incoming defer and give it "
                                       "migrate-incoming first"));
  }
  return failure;
}

Result<wire::Channel> create_file(const std::string& path) {
  // O_NONBLOCK: a FIFO would be waited for here.
  UniqueFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NONBLOCK, 0600));
  if (!file) return fail_errno(errno, "cannot create '{}'", path);
  struct stat info {};
  if (::fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode)) return fail("'{}' is not a regular file", path);
  return wire::Channel::of_file(std::move(file));
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
    case Address::Kind::kUnix: return connect_by_unix(address.path);
    case Address::Kind::kTcp: return connect_by_tcp(address);
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
    listener.unix_ = TRY(UnixListener::bind(address.path));
  } else {
    listener.tcp_ = TRY(listen_tcp(address.tcp));
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
  tune_tcp(socket.get());
  return wire::Channel::of_tcp(std::move(socket));
}

}  // namespace pagurus::migration
