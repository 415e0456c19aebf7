#include "net/vhost_user/socket.h"

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <thread>

#include "base/socket.h"

namespace pagurus::net::vhost_user {
namespace {

// How often a process that waits for its peer looks whether it is told to end.
constexpr int kSliceMs = 100;

// The control loop does not run yet, and its signals are blocked.
Result<void> check_not_interrupted() {
  sigset_t pending;
  ::sigpending(&pending);
  for (int signal : {SIGINT, SIGTERM, SIGHUP}) {
    if (::sigismember(&pending, signal) == 1) return fail("interrupted while waiting for the peer");
  }
  return {};
}

}  // namespace

Result<SocketConfig> SocketConfig::from(const std::string& id, std::span<const schema::ChardevOptions> chardevs) {
  auto found = std::ranges::find(chardevs, id, &schema::ChardevOptions::id);
  if (found == chardevs.end()) return fail("no chardev '{}': define it with -chardev socket,id={},path=...", id, id);
  std::string doing = fmt::format("character device '{}'", id);
  const auto* options = found->as_socket();
  if (options == nullptr) return fail("{}: vhost-user needs a socket (descriptors travel on it)", doing);
  if (options->path.has_value() == options->fd.has_value()) {
    return fail("{}: exactly one of 'path' and 'fd' is required", doing);
  }
  bool server = options->server.value_or(false);
  if (!options->wait.value_or(true)) {
    return fail("{}: wait=off is invalid for vhost-user: what the peer offers decides what the guest sees", doing);
  }
  if (options->wait && !server) return fail("{}: wait= is invalid without server=on", doing);
  int64_t reconnect = options->reconnect_ms.value_or(0);
  if (reconnect < 0 || reconnect > INT32_MAX) {
    return fail("{}: reconnect-ms is 0 to {}, not {}", doing, INT32_MAX, reconnect);
  }
  if (reconnect != 0 && (server || options->fd)) {
    return fail("{}: reconnect-ms is for a client that knows where to connect: invalid with server=on and fd=", doing);
  }
  return SocketConfig{.chardev = id,
                      .role = server          ? Role::kServer
                              : options->path ? Role::kClient
                                              : Role::kConnected,
                      .path = options->path.value_or(""),
                      .fd = options->fd.value_or(""),
                      .reconnect_ms = static_cast<uint64_t>(reconnect)};
}

Result<void> check_socket(int fd) {
  TRY(check_connection(fd));
  auto kind = TRY(socket_kind(fd));
  if (kind.family != AF_UNIX || !kind.connected) return fail("file descriptor {} is not a connected UNIX socket", fd);
  return {};
}

Result<UniqueFd> Socket::open(Patience patience) {
  using Role = SocketConfig::Role;
  if (config_.role == Role::kClient) return connect_until_there(patience);
  if (config_.role == Role::kConnected) {
    auto socket = TRY(named_fds_.resolve(config_.fd));
    TRY(check_socket(socket.get()));
    return socket;
  }
  if (patience == Patience::kNone) {
    return fail("nobody can have connected to it yet: use a chardev that connects to its peer (server=off)");
  }
  if (config_.path.empty()) {
    auto socket = TRY(named_fds_.resolve(config_.fd));
    listener_ = TRY(UnixListener::of_fd(std::move(socket)));
  } else {
    listener_ = TRY(UnixListener::bind(config_.path));
  }
  return await_first();
}

Result<UniqueFd> Socket::await_first() {
  log_info("character device '{}': waiting for a peer to connect to '{}'", config_.chardev,
           config_.path.empty() ? "fd " + config_.fd : config_.path);
  for (;;) {
    TRY(check_not_interrupted());
    pollfd ready{.fd = listener_->fd(), .events = POLLIN, .revents = 0};
    if (::poll(&ready, 1, kSliceMs) <= 0) continue;
    auto peer = TRY(listener_->accept());
    if (peer) return std::move(*peer);
  }
}

Result<UniqueFd> Socket::connect_until_there(Patience patience) {
  for (;;) {
    auto connection = TRY(connect_unix(config_.path));
    if (connection.error == 0) return std::move(connection.socket);
    if (config_.reconnect_ms == 0 || patience == Patience::kNone) {
      return fail_errno(connection.error, "cannot connect to '{}'", config_.path);
    }
    auto next = std::chrono::steady_clock::now() + std::chrono::milliseconds(config_.reconnect_ms);
    while (std::chrono::steady_clock::now() < next) {
      TRY(check_not_interrupted());
      std::this_thread::sleep_for(std::chrono::milliseconds(std::min<uint64_t>(config_.reconnect_ms, kSliceMs)));
    }
  }
}

void Socket::seek(OnPeer on_peer) {
  on_peer_ = std::move(on_peer);
  Result<event::Watch> watch;
  if (listener_) {
    watch = loop_.watch_fd(listener_->fd(), EPOLLIN, [this](uint32_t) { accept_one(); });
  } else if (config_.reconnect_ms != 0) {
    watch = loop_.after(config_.reconnect_ms * 1000, [this] { try_connect(); });
  }
  if (!watch) return log_error("character device '{}': {}", config_.chardev, watch.error().message());
  watch_ = std::move(*watch);
}

void Socket::accept_one() {
  auto peer = listener_->accept();
  if (!peer) {
    if (faults_.note()) log_warning("character device '{}': {}", config_.chardev, peer.error().message());
    return;
  }
  if (!*peer) return;
  stop_seeking();
  on_peer_(std::move(**peer));
}

void Socket::try_connect() {
  stop_seeking();
  auto connection = connect_unix(config_.path);
  if (!connection || connection->error != 0) return seek(std::move(on_peer_));
  on_peer_(std::move(connection->socket));
}

Result<void> Socket::adopt(std::optional<UniqueFd> listener, std::string path) {
  bool server = config_.role == SocketConfig::Role::kServer;
  if (listener.has_value() != server) {
    return fail("it is a {} on the other side and a {} here", server ? "client" : "server",
                server ? "server" : "client");
  }
  if (!listener) return {};
  listener_ = TRY(UnixListener::adopt(*std::move(listener)));
  adopted_path_ = std::move(path);
  return {};
}

void Socket::take_path() {
  if (listener_ && !adopted_path_.empty()) listener_->take_path(std::exchange(adopted_path_, {}));
}

void Socket::release() {
  stop_seeking();
  if (listener_) listener_->release();
  listener_.reset();
}

}  // namespace pagurus::net::vhost_user
