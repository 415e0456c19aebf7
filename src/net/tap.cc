#include "net/tap.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <cerrno>
#include <cstring>

#include "base/log.h"
#include "net/script.h"
#include "net/tap_state.h"

namespace pagurus::net {
namespace {

// Linux 6.2 has them; the headers of Debian 12 do not.
constexpr unsigned kTunUso4 = 0x20;
constexpr unsigned kTunUso6 = 0x40;

// What a queue of a TAP is like, as TUNGETIFF tells; fails for any other descriptor.
Result<ifreq> queue_of(int fd) {
  ifreq request{};
  struct stat info {};
  // TUNGETIFF's number may mean something else to another device: look at what the descriptor is first.
  constexpr unsigned kMiscMajor = 10, kTunMinor = 200;
  bool tun_device = ::fstat(fd, &info) == 0 && S_ISCHR(info.st_mode) && info.st_rdev == makedev(kMiscMajor, kTunMinor);
  if (!tun_device) return fail("file descriptor {} is not a TAP (it is no open /dev/net/tun)", fd);
  if (::ioctl(fd, TUNGETIFF, &request) != 0) {
    return fail_errno(errno, "file descriptor {} is not attached to a TAP", fd);
  }
  if ((request.ifr_flags & IFF_TAP) == 0) return fail("file descriptor {} is a TUN, not a TAP", fd);
  if ((::fcntl(fd, F_GETFL) & O_ACCMODE) != O_RDWR) {
    return fail("TAP '{}' is not open for reading and writing", request.ifr_name);
  }
  return request;
}

// The largest set of offloads the kernel accepts for this queue, found by trying; leaves them off.
Offloads probe_offloads(int fd) {
  auto accepts = [fd](unsigned flags) { return ::ioctl(fd, TUNSETOFFLOAD, flags) == 0; };
  Offloads found;
  found.csum = accepts(TUN_F_CSUM);
  if (found.csum) {
    found.tso4 = accepts(TUN_F_CSUM | TUN_F_TSO4);
    found.tso6 = accepts(TUN_F_CSUM | TUN_F_TSO6);
    found.ecn = found.tso4 && accepts(TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO_ECN);
    found.ufo = accepts(TUN_F_CSUM | TUN_F_UFO);
    found.uso4 = found.uso6 = accepts(TUN_F_CSUM | kTunUso4 | kTunUso6);
  }
  accepts(0);
  return found;
}

}  // namespace

Result<TapConfig> TapConfig::from(const std::string& id, const schema::NetdevTapOptions& options) {
  TapConfig config{.id = id,
                   .ifname = options.ifname.value_or(""),
                   .fd = options.fd.value_or(""),
                   .script = options.script.value_or("no"),
                   .downscript = options.downscript.value_or("no"),
                   .vnet_hdr = options.vnet_hdr.value_or(true),
                   .sndbuf = options.sndbuf.value_or(0),
                   .local_incoming = options.local_incoming.value_or(false)};
  bool scripts = options.script || options.downscript;
  if (config.local_incoming && (!config.fd.empty() || scripts)) {
    return fail(
        "netdev '{}': local-incoming=on is invalid with fd=, script= and downscript=: the TAP arrives open and "
        "configured",
        id);
  }
  if (!config.fd.empty() && (!config.ifname.empty() || scripts)) {
    return fail("netdev '{}': ifname=, script= and downscript= are invalid with fd=", id);
  }
  if (config.ifname.size() >= IFNAMSIZ) {
    return fail("netdev '{}': interface name '{}' is longer than {} bytes", id, config.ifname, IFNAMSIZ - 1);
  }
  if (config.sndbuf > INT32_MAX) return fail("netdev '{}': sndbuf is larger than {}", id, INT32_MAX);
  return config;
}

std::unique_ptr<Tap> Tap::create(TapConfig config, NamedFds& named_fds) {
  return std::unique_ptr<Tap>(new Tap(std::move(config), named_fds));
}

Tap::~Tap() {
  if (!run_down_script_) return;
  fd_.reset();
  if (auto result = run_script(config_.downscript, ifname_); !result) {
    log_warning("netdev '{}': {}", config_.id, result.error().message());
  }
}

Result<void> Tap::open() {
  CHECK(pending(), "a TAP is opened once");
  std::string doing = fmt::format("netdev '{}'", config_.id);
  UniqueFd fd =
      config_.fd.empty() ? TRY_DOING(doing, open_by_name()) : TRY_DOING(doing, named_fds_.resolve(config_.fd));
  TRY_DOING(doing, set_up(std::move(fd)));
  bool own = config_.fd.empty();
  if (own && config_.script != "no") TRY_DOING(doing, run_script(config_.script, ifname_));
  run_down_script_ = own && config_.downscript != "no";
  return {};
}

Result<UniqueFd> Tap::open_by_name() {
  bool exists = !config_.ifname.empty() && ::if_nametoindex(config_.ifname.c_str()) != 0;
  if (!exists && config_.script == "no") {
    if (config_.ifname.empty()) {
      return fail("give ifname= of an existing TAP, script= to configure a new one, or fd=");
    }
    return std::unexpected(Error(fmt::format("TAP '{}' does not exist", config_.ifname))
                               .remedy(fmt::format("make it: ip tuntap add dev {} mode tap vnet_hdr", config_.ifname)));
  }
  UniqueFd fd(::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (!fd) {
    int error = errno;
    auto failure = fail_errno(error, "cannot open /dev/net/tun");
    if (error == ENOENT) return std::unexpected(std::move(failure.error()).remedy("load the module: modprobe tun"));
    return failure;
  }
  ifreq request{};
  request.ifr_flags = static_cast<short>(IFF_TAP | IFF_NO_PI | (config_.vnet_hdr ? IFF_VNET_HDR : 0));
  std::strncpy(request.ifr_name, config_.ifname.c_str(), IFNAMSIZ - 1);
  if (::ioctl(fd.get(), TUNSETIFF, &request) != 0) {
    int error = errno;
    auto failure = fail_errno(error, "cannot attach to TAP '{}'", config_.ifname);
    const char* remedy = error == EBUSY ? "another process uses it: stop that one, or give this guest a TAP of its own"
                         : error == EPERM ? "run as the TAP's owner (ip tuntap add ... user NAME) or with CAP_NET_ADMIN"
                         : error == EINVAL
                             ? "it is no TAP, or a multi-queue one: make it with ip tuntap add ... mode tap"
                             : "";
    return std::unexpected(std::move(failure.error()).remedy(remedy));
  }
  return fd;
}

// Makes an attached queue ours: header, buffer, blocking mode.  Only the opener does this.
Result<void> Tap::set_up(UniqueFd fd) {
  ifreq queue = TRY(queue_of(fd.get()));
  bool has_header = (queue.ifr_flags & IFF_VNET_HDR) != 0;
  if (has_header && !config_.vnet_hdr)
    return fail("TAP '{}' has a vnet header but vnet_hdr=off was given", queue.ifr_name);
  if (has_header && ::ioctl(fd.get(), TUNSETVNETHDRSZ, &kVnetHeaderSize) != 0) {
    return fail_errno(errno, "cannot set the vnet header size of TAP '{}'", queue.ifr_name);
  }
  int sndbuf = static_cast<int>(config_.sndbuf);
  if (sndbuf != 0 && ::ioctl(fd.get(), TUNSETSNDBUF, &sndbuf) != 0) {
    return fail_errno(errno, "cannot set sndbuf of TAP '{}' to {}", queue.ifr_name, sndbuf);
  }
  int flags = ::fcntl(fd.get(), F_GETFL);
  if (flags < 0 || ::fcntl(fd.get(), F_SETFL, flags | O_NONBLOCK) != 0) {
    return fail_errno(errno, "cannot make TAP '{}' non-blocking", queue.ifr_name);
  }
  if (has_header) offloads_ = probe_offloads(fd.get());
  vnet_header_ = has_header;
  ifname_ = queue.ifr_name;
  fd_ = std::move(fd);
  return {};
}

Result<void> Tap::set_offloads(const Offloads& offloads) {
  if (!vnet_header_) return {};
  unsigned flags = 0;
  if (offloads.csum) flags |= TUN_F_CSUM;
  if (offloads.tso4) flags |= TUN_F_TSO4;
  if (offloads.tso6) flags |= TUN_F_TSO6;
  if (offloads.ecn) flags |= TUN_F_TSO_ECN;
  if (offloads.ufo) flags |= TUN_F_UFO;
  if (offloads.uso4) flags |= kTunUso4;
  if (offloads.uso6) flags |= kTunUso6;
  if (::ioctl(fd_.get(), TUNSETOFFLOAD, flags) != 0) {
    return fail_errno(errno, "cannot set the offloads of TAP '{}'", ifname_);
  }
  return {};
}

IoResult Tap::receive(std::span<const iovec> frame) {
  ssize_t size = ::readv(fd_.get(), frame.data(), static_cast<int>(frame.size()));
  if (size >= 0) return {IoStatus::kOk, static_cast<size_t>(size)};
  return {errno == EAGAIN || errno == EINTR ? IoStatus::kWouldBlock : IoStatus::kDropped, 0};
}

IoResult Tap::transmit(std::span<const iovec> frame) {
  ssize_t size = ::writev(fd_.get(), frame.data(), static_cast<int>(frame.size()));
  if (size >= 0) return {IoStatus::kOk, static_cast<size_t>(size)};
  return {errno == EAGAIN || errno == EINTR ? IoStatus::kWouldBlock : IoStatus::kDropped, 0};
}

Result<const vmstate::Description*> Tap::movable() const { return &TapState::description(); }

Result<void> Tap::save(vmstate::Writer& writer) const {
  TapState state;
  state.ifname = ifname_;
  state.vnet_header = vnet_header_;
  state.vnet_header_size = vnet_header_ ? kVnetHeaderSize : 0;
  state.has_csum = offloads_.csum;
  state.has_tso4 = offloads_.tso4;
  state.has_tso6 = offloads_.tso6;
  state.has_ecn = offloads_.ecn;
  state.has_ufo = offloads_.ufo;
  state.has_uso = offloads_.uso4;
  state.fd = vmstate::Fd::lend(fd_.get());
  vmstate::write_state(writer, state);
  return {};
}

Result<void> Tap::adopt(vmstate::Reader& reader) {
  CHECK(pending(), "a TAP is adopted once");
  auto state = TRY(vmstate::read_state<TapState>(reader));
  ifreq queue = TRY(queue_of(state.fd.get()));
  if (state.ifname != queue.ifr_name) {
    return fail("the TAP that arrived is '{}' where '{}' was announced", queue.ifr_name, state.ifname);
  }
  bool has_header = (queue.ifr_flags & IFF_VNET_HDR) != 0;
  int header_size = 0;
  if (has_header && ::ioctl(state.fd.get(), TUNGETVNETHDRSZ, &header_size) != 0) {
    return fail_errno(errno, "cannot read the vnet header size of TAP '{}'", state.ifname);
  }
  if (has_header != state.vnet_header || header_size != state.vnet_header_size) {
    return fail("TAP '{}' has a vnet header of {} bytes where {} were announced", state.ifname, header_size,
                state.vnet_header_size);
  }
  // Nothing is set here: whoever opened it has made it so, or is no process of ours.
  if ((::fcntl(state.fd.get(), F_GETFL) & O_NONBLOCK) == 0) return fail("TAP '{}' blocks its reader", state.ifname);
  if (!state.enabled) return fail("TAP '{}' is disabled, which a single queue cannot be", state.ifname);
  vnet_header_ = has_header;
  offloads_ = {.csum = state.has_csum,
               .tso4 = state.has_tso4,
               .tso6 = state.has_tso6,
               .ecn = state.has_ecn,
               .ufo = state.has_ufo,
               .uso4 = state.has_uso,
               .uso6 = state.has_uso};
  ifname_ = state.ifname;
  fd_ = state.fd.take();
  run_down_script_ = false;
  return {};
}

void Tap::thaw() {
  // The commit: from now on this process is the last one that holds the TAP, unless it moves again.
  run_down_script_ = config_.fd.empty() && config_.downscript != "no";
}

void Tap::release() {
  run_down_script_ = false;
  fd_.reset();
}

}  // namespace pagurus::net
