#include "net/stream.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "net/stream_state.h"

namespace pagurus::net {
namespace {

HostPort host_port(const schema::InetSocketAddress& address) { return {.host = address.host, .port = address.port}; }

// Who is at the other end; of a UNIX socket without a name, what we know of it.
schema::SocketAddress peer_of(int socket, const schema::SocketAddress& configured) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  if (::getpeername(socket, reinterpret_cast<sockaddr*>(&storage), &size) != 0) return configured;
  if (storage.ss_family == AF_UNIX) {
    if (configured.as_unix() != nullptr) return configured;
    const auto& name = reinterpret_cast<const sockaddr_un&>(storage);
    return {schema::UnixSocketAddress{std::string(name.sun_path, ::strnlen(name.sun_path, sizeof name.sun_path))}};
  }
  char host[NI_MAXHOST], port[NI_MAXSERV];
  int error = ::getnameinfo(reinterpret_cast<sockaddr*>(&storage), size, host, sizeof host, port, sizeof port,
                            NI_NUMERICHOST | NI_NUMERICSERV);
  if (error != 0) return configured;
  return {schema::InetSocketAddress{.host = host, .port = port}};
}

}  // namespace

Result<StreamConfig> StreamConfig::from(const std::string& id, const schema::NetdevStreamOptions& options) {
  StreamConfig config{.id = id, .addr = options.addr, .server = options.server.value_or(false)};
  int64_t reconnect = options.reconnect_ms.value_or(0);
  if (reconnect < 0 || reconnect > INT32_MAX) {
    return fail("netdev '{}': reconnect-ms is 0 to {}, not {}", id, INT32_MAX, reconnect);
  }
  if (reconnect != 0 && (config.server || config.addr.as_fd() != nullptr)) {
    return fail(
        "netdev '{}': reconnect-ms is for a client that knows where to connect: invalid with server=on and "
        "addr.type=fd",
        id);
  }
  config.reconnect_ms = static_cast<uint64_t>(reconnect);
  return config;
}

Result<std::unique_ptr<Stream>> Stream::create(StreamConfig config, const NetdevParts& parts) {
  AddressInfo host(nullptr, &::freeaddrinfo);
  if (const auto* inet = config.addr.as_inet(); inet != nullptr && !config.server) {
    host = TRY_DOING(fmt::format("netdev '{}'", config.id), resolve(host_port(*inet), SOCK_STREAM, 0));
  }
  return std::unique_ptr<Stream>(new Stream(std::move(config), parts, std::move(host)));
}

Result<void> Stream::open() {
  CHECK(pending(), "a back end is opened once");
  std::string doing = fmt::format("netdev '{}'", config_.id);
  auto attention = TRY_DOING(doing, make_eventfd());
  port_.set_attention(attention.get());
  TRY_DOING(doing, open_socket());
  attention_ = std::move(attention);
  return {};
}

Result<void> Stream::open_socket() {
  if (config_.server) return open_server();
  if (const auto* fd = config_.addr.as_fd()) {
    auto socket = TRY(parts_.named_fds.resolve(fd->str));
    TRY(check_connection(socket.get()));
    if (!TRY(socket_kind(socket.get())).connected) return fail("file descriptor {} is not connected", fd->str);
    exchange(std::move(socket));
    return {};
  }
  wanted_ = true;
  auto begun = begin_connect();
  if (!begun && config_.reconnect_ms == 0) return begun;
  return {};
}

Result<void> Stream::open_server() {
  if (const auto* path = config_.addr.as_unix()) {
    path_listener_ = TRY(UnixListener::bind(path->path));
  } else if (const auto* inet = config_.addr.as_inet()) {
    listener_fd_ = TRY(listen_tcp(host_port(*inet)));
  } else {
    auto socket = TRY(parts_.named_fds.resolve(config_.addr.as_fd()->str));
    TRY(check_listener(socket.get()));
    listener_fd_ = std::move(socket);
  }
  return {};
}

// --- Connections ------------------------------------------------------------------------------

void Stream::seek() {
  if (!in_use_ || connected_ || seek_watch_) return;
  if (config_.server) {
    auto watch = parts_.loop.watch_fd(listening_fd(), EPOLLIN, [this](uint32_t) { accept_one(); });
    if (!watch) return warn(watch.error().message());
    seek_watch_ = std::move(*watch);
    return;
  }
  if (!wanted_) return;
  if (!connecting_) {
    if (auto begun = begin_connect(); !begun) return connect_failed(begun.error().message());
  }
  if (connected_) return;
  auto watch = parts_.loop.watch_fd(connecting_.get(), EPOLLOUT, [this](uint32_t) { finish_connect(); });
  if (!watch) return connect_failed(watch.error().message());
  seek_watch_ = std::move(*watch);
}

void Stream::accept_one() {
  // A descriptor given by the operator may be blocking.
  pollfd ready{.fd = listening_fd(), .events = POLLIN, .revents = 0};
  if (::poll(&ready, 1, 0) <= 0) return;
  UniqueFd socket(::accept4(listening_fd(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!socket) {
    if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
      warn(fmt::format("cannot accept a connection: {}", std::strerror(errno)));
    }
    return;
  }
  auto kind = socket_kind(socket.get());
  if (kind && kind->family != AF_UNIX) tune_tcp(socket.get());
  peer_arrived(std::move(socket));
}

Result<void> Stream::begin_connect() {
  if (const auto* inet = config_.addr.as_inet()) {
    connecting_ = TRY(connect_tcp(host_port(*inet), *host_));
    return {};
  }
  const std::string& path = config_.addr.as_unix()->path;
  auto connection = TRY(connect_unix(path));
  if (connection.error != 0) return fail_errno(connection.error, "cannot connect to '{}'", path);
  peer_arrived(std::move(connection.socket));
  return {};
}

void Stream::finish_connect() {
  seek_watch_ = event::Watch();
  UniqueFd socket = std::move(connecting_);
  if (int error = connection_error(socket.get()); error != 0) {
    return connect_failed(fmt::format("cannot connect: {}", std::strerror(error)));
  }
  peer_arrived(std::move(socket));
}

void Stream::connect_failed(const std::string& why) {
  warn(why);
  retry_later();
}

void Stream::retry_later() {
  wanted_ = config_.reconnect_ms != 0;
  if (!wanted_ || !in_use_) return;
  auto timer = parts_.loop.after(config_.reconnect_ms * 1000, [this] {
    seek_watch_ = event::Watch();
    seek();
  });
  if (!timer) return log_error("netdev '{}': {}", config_.id, timer.error().message());
  seek_watch_ = std::move(*timer);
}

void Stream::stop_seeking() {
  seek_watch_ = event::Watch();
  connecting_.reset();
}

void Stream::exchange(UniqueFd socket) {
  connected_ = static_cast<bool>(socket);
  auto change = [&] { port_.connect(std::move(socket), {}); };
  if (listener_ != nullptr) {
    listener_->hold_still(change);
    listener_->connection_changed();
  } else {
    change();
  }
}

void Stream::peer_arrived(UniqueFd socket) {
  seek_watch_ = event::Watch();
  auto peer = peer_of(socket.get(), config_.addr);
  exchange(std::move(socket));
  parts_.observer.netdev_connected(config_.id, peer);
}

void Stream::peer_gone() {
  flush_watch_ = event::Watch();
  if (faults_.note()) {
    log_warning("netdev '{}': the peer is disconnected: {}", config_.id, printable(port_.break_reason()));
  }
  exchange({});
  parts_.observer.netdev_disconnected(config_.id);
  if (config_.server) {
    seek();
  } else {
    retry_later();
  }
}

// The worker has something for this thread to do.
void Stream::attend() {
  drain_eventfd(attention_.get());
  if (port_.broken()) return peer_gone();
  if (connected_) flush();
}

void Stream::flush() {
  if (port_.flush()) {
    flush_watch_ = event::Watch();
    return;
  }
  if (flush_watch_) return;
  auto watch = parts_.loop.watch_fd(port_.fd(), EPOLLOUT, [this](uint32_t) { flush(); });
  if (!watch) return warn(watch.error().message());
  flush_watch_ = std::move(*watch);
}

void Stream::warn(const std::string& what) {
  if (faults_.note()) log_warning("netdev '{}': {}", config_.id, what);
}

// --- Moving -----------------------------------------------------------------------------------

Result<const vmstate::Description*> Stream::movable() const { return &StreamState::description(); }

void Stream::freeze() {
  if (pending() || !in_use_) return;
  in_use_ = false;
  attention_watch_ = event::Watch();
  flush_watch_ = event::Watch();
  stop_seeking();
  // What a destination would refuse stays here.
  port_.look();
  if (port_.broken()) peer_gone();
}

void Stream::thaw() {
  if (pending() || in_use_) return;
  in_use_ = true;
  if (path_listener_ && !adopted_path_.empty()) path_listener_->take_path(std::exchange(adopted_path_, {}));
  auto watch = parts_.loop.watch_fd(attention_.get(), EPOLLIN, [this](uint32_t) { attend(); });
  if (!watch) return log_error("netdev '{}': {}", config_.id, watch.error().message());
  attention_watch_ = std::move(*watch);
  attend();
  seek();
}

Result<void> Stream::save(vmstate::Writer& writer) const {
  StreamState state{.server = config_.server, .connecting = !connected_ && wanted_};
  if (config_.server) state.listener.push_back(vmstate::Fd::lend(listening_fd()));
  if (path_listener_) state.path = path_listener_->path();
  if (connected_) {
    state.connection.push_back(vmstate::Fd::lend(port_.fd()));
    StreamRemains remains = port_.remains();
    state.received = std::move(remains.received);
    state.unsent = std::move(remains.unsent);
  }
  vmstate::write_state(writer, state);
  return {};
}

Result<void> Stream::adopt(vmstate::Reader& reader) {
  CHECK(pending(), "a back end is adopted once");
  auto state = TRY(vmstate::read_state<StreamState>(reader));
  std::string doing = fmt::format("netdev '{}'", config_.id);
  auto attention = TRY_DOING(doing, make_eventfd());
  port_.set_attention(attention.get());
  if (auto taken = take_state(state); !taken) {
    path_listener_.reset();
    listener_fd_.reset();
    return std::unexpected(std::move(taken.error()).while_doing(doing));
  }
  attention_ = std::move(attention);
  return {};
}

Result<void> Stream::take_state(StreamState& state) {
  if (state.server != config_.server) {
    return fail("it is a {} on the other side and a {} here", state.server ? "server" : "client",
                config_.server ? "server" : "client");
  }
  if (state.connecting && (state.server || !state.connection.empty())) {
    return fail("it is to connect, but is a server or connected");
  }
  if (!state.connection.empty()) {
    int fd = state.connection.front().get();
    TRY(check_connection(fd));
    TRY(check_family(fd));
  }
  if (!state.listener.empty()) {
    UniqueFd socket = state.listener.front().take();
    TRY(check_listener(socket.get()));
    TRY(check_family(socket.get()));
    if (config_.addr.as_unix() != nullptr) {
      path_listener_ = TRY(UnixListener::adopt(std::move(socket)));
    } else {
      listener_fd_ = std::move(socket);
    }
    adopted_path_ = std::move(state.path);
  }
  wanted_ = !config_.server && (state.connecting || config_.reconnect_ms != 0) && config_.addr.as_fd() == nullptr;
  if (state.connection.empty()) return {};
  // The workers stand still: the guest has not come yet.
  port_.connect(state.connection.front().take(), {std::move(state.received), std::move(state.unsent)});
  // Its peer may have gone in between: thaw() tells, and seeks another.
  port_.look();
  connected_ = !port_.broken();
  return {};
}

Result<void> Stream::check_family(int fd) const {
  int family = TRY(socket_kind(fd)).family;
  bool internet = family == AF_INET || family == AF_INET6;
  bool fits = config_.addr.as_unix() != nullptr   ? family == AF_UNIX
              : config_.addr.as_inet() != nullptr ? internet
                                                  : internet || family == AF_UNIX;
  if (!fits) return fail("file descriptor {} is a socket of another kind than addr.type says", fd);
  return {};
}

void Stream::release() {
  freeze();
  if (path_listener_) path_listener_->release();
  path_listener_.reset();
  listener_fd_.reset();
  port_.disconnect();
  connected_ = false;
  attention_.reset();
}

}  // namespace pagurus::net
