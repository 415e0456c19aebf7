#include "net/dgram.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#include "base/socket.h"

namespace pagurus::net {
namespace {

constexpr int kMostEmpty = 64;
// So short that the queue of 11 datagrams that a peer may have is not emptied much sooner.
constexpr std::chrono::microseconds kWhilePeerIsFull(200);

std::vector<uint8_t> bytes_of(const sockaddr* address, size_t size) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(address);
  return {bytes, bytes + size};
}

HostPort host_port(const schema::InetSocketAddress& address) { return {.host = address.host, .port = address.port}; }

// sa_family of an address that is a vector of bytes; AF_UNSPEC if it is too short to have one.
int family_of(const std::vector<uint8_t>& address) {
  sa_family_t family = AF_UNSPEC;
  if (address.size() >= sizeof family) std::memcpy(&family, address.data(), sizeof family);
  return family;
}

bool is_multicast(const std::vector<uint8_t>& address) {
  if (family_of(address) == AF_INET && address.size() >= sizeof(sockaddr_in)) {
    sockaddr_in inet{};
    std::memcpy(&inet, address.data(), sizeof inet);
    return IN_MULTICAST(ntohl(inet.sin_addr.s_addr));
  }
  if (family_of(address) == AF_INET6 && address.size() >= sizeof(sockaddr_in6)) {
    sockaddr_in6 inet{};
    std::memcpy(&inet, address.data(), sizeof inet);
    return IN6_IS_ADDR_MULTICAST(&inet.sin6_addr);
  }
  return false;
}

Result<std::vector<uint8_t>> resolve_remote(const schema::SocketAddress& remote) {
  if (const auto* path = remote.as_unix()) {
    auto address = TRY(unix_address(path->path));
    return bytes_of(reinterpret_cast<const sockaddr*>(&address), sizeof address);
  }
  auto found = TRY(resolve(host_port(*remote.as_inet()), SOCK_DGRAM, 0));
  auto address = bytes_of(found->ai_addr, found->ai_addrlen);
  if (is_multicast(address)) return fail("remote.host is a multicast address, which is not supported");
  return address;
}

IoStatus receive_status(int error) {
  // The last is an answer to a datagram of before: nobody was there.
  bool passing = error == EAGAIN || error == EINTR || error == ECONNREFUSED;
  return passing ? IoStatus::kWouldBlock : IoStatus::kDropped;
}

}  // namespace

const vmstate::Description& DgramState::description() {
  constexpr uint64_t kMaxPath = 108;  // sizeof sockaddr_un::sun_path
  static constexpr auto kFields = std::array{
      vmstate::field<&DgramState::socket>("socket"),
      vmstate::field<&DgramState::path>("path", {.max = kMaxPath}),
      vmstate::field<&DgramState::remote>("remote", {.max = sizeof(sockaddr_storage)}),
  };
  static constexpr vmstate::Description kDescription{"net-dgram", 1, kFields};
  return kDescription;
}

Result<DgramConfig> DgramConfig::from(const std::string& id, const schema::NetdevDgramOptions& options) {
  if (!options.local) {
    return fail("netdev '{}': local= says where datagrams arrive, and is needed: multicast is not supported", id);
  }
  bool given = options.local->as_fd() != nullptr;
  if (given && options.remote) return fail("netdev '{}': remote= is invalid with local.type=fd", id);
  if (!given && !options.remote) return fail("netdev '{}': remote= says where datagrams go, and is missing", id);
  if (!given && options.remote->type() != options.local->type()) {
    return fail("netdev '{}': local.type and remote.type differ", id);
  }
  return DgramConfig{.id = id, .local = *options.local, .remote = options.remote};
}

Result<void> Dgram::open() {
  CHECK(pending(), "a back end is opened once");
  std::string doing = fmt::format("netdev '{}'", config_.id);
  std::vector<uint8_t> remote;
  if (config_.remote) remote = TRY_DOING(doing, resolve_remote(*config_.remote));
  auto socket = TRY_DOING(doing, open_socket());
  if (const auto* path = config_.local.as_unix()) path_.take(socket.get(), path->path);
  if (auto right = check(socket.get(), remote); !right) {
    path_ = {};
    return std::unexpected(std::move(right.error()).while_doing(doing));
  }
  socket_ = std::move(socket);
  remote_ = std::move(remote);
  return {};
}

Result<UniqueFd> Dgram::open_socket() {
  if (const auto* fd = config_.local.as_fd()) return named_fds_.resolve(fd->str);
  if (const auto* path = config_.local.as_unix()) return bind_unix(path->path, SOCK_DGRAM);
  const auto& inet = *config_.local.as_inet();
  auto found = TRY(resolve(host_port(inet), SOCK_DGRAM, AI_PASSIVE));
  UniqueFd socket(::socket(found->ai_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return fail_errno(errno, "cannot create a socket");
  if (::bind(socket.get(), found->ai_addr, found->ai_addrlen) != 0) {
    return fail_errno(errno, "cannot bind to '{}:{}'", inet.host, inet.port);
  }
  return socket;
}

Result<void> Dgram::check(int fd, const std::vector<uint8_t>& remote) const {
  SocketKind kind = TRY(socket_kind(fd));
  if (kind.type != SOCK_DGRAM) return fail("file descriptor {} is not a datagram socket", fd);
  bool internet = kind.family == AF_INET || kind.family == AF_INET6;
  bool fits = config_.local.as_unix() != nullptr   ? kind.family == AF_UNIX
              : config_.local.as_inet() != nullptr ? internet
                                                   : internet || kind.family == AF_UNIX;
  if (!fits) return fail("file descriptor {} is a socket of another kind than local.type says", fd);
  if (remote.empty() != !config_.remote) return fail("a remote address is there on one side only");
  if (remote.empty() && !kind.connected) return fail("file descriptor {} is not connected", fd);
  if (!remote.empty() && family_of(remote) != kind.family) {
    return fail("the remote address is of another family than the local one");
  }
  return {};
}

// MSG_DONTWAIT: O_NONBLOCK belongs to everybody who shares the socket.
IoResult Dgram::receive(std::span<const iovec> frame) {
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(frame.data());
  message.msg_iovlen = frame.size();
  // An empty datagram is no frame; but whoever sends nothing else shall not keep this thread here.
  for (int empty = 0; empty < kMostEmpty; ++empty) {
    ssize_t size = ::recvmsg(socket_.get(), &message, MSG_DONTWAIT);
    if (size > 0) return {IoStatus::kOk, static_cast<size_t>(size)};
    if (size < 0) return {receive_status(errno), 0};
  }
  return {IoStatus::kWouldBlock, 0};
}

PortFailure Dgram::failure() {
  // A connected socket tells so that nobody was there for an earlier datagram; asking takes the error away.
  return connection_error(socket_.get()) != 0 ? PortFailure::kPassing : PortFailure::kLasting;
}

IoResult Dgram::transmit(std::span<const iovec> frame) {
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(frame.data());
  message.msg_iovlen = frame.size();
  if (!remote_.empty()) {
    message.msg_name = const_cast<uint8_t*>(remote_.data());
    message.msg_namelen = static_cast<socklen_t>(remote_.size());
  }
  ssize_t size = ::sendmsg(socket_.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (size >= 0) return {IoStatus::kOk, static_cast<size_t>(size)};
  bool full = errno == EAGAIN || errno == EINTR;
  // A socket that is not connected counts as writable even while its peer's queue is full, which may be for long.
  if (errno == EAGAIN && family_of(remote_) == AF_UNIX) std::this_thread::sleep_for(kWhilePeerIsFull);
  return {full ? IoStatus::kWouldBlock : IoStatus::kDropped, 0};
}

Result<void> Dgram::save(vmstate::Writer& writer) const {
  DgramState state{.socket = vmstate::Fd::lend(socket_.get()), .path = path_.path(), .remote = remote_};
  vmstate::write_state(writer, state);
  return {};
}

Result<void> Dgram::adopt(vmstate::Reader& reader) {
  CHECK(pending(), "a back end is adopted once");
  auto state = TRY(vmstate::read_state<DgramState>(reader));
  TRY_DOING(fmt::format("netdev '{}'", config_.id), check(state.socket.get(), state.remote));
  socket_ = state.socket.take();
  remote_ = std::move(state.remote);
  adopted_path_ = std::move(state.path);
  return {};
}

void Dgram::thaw() {
  if (!adopted_path_.empty()) path_.take(socket_.get(), std::exchange(adopted_path_, {}));
}

void Dgram::release() {
  path_.release();
  socket_.reset();
}

}  // namespace pagurus::net
