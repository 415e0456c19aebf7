#include "net/tap.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>

#include <algorithm>
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

// "3:4:name"
std::vector<std::string> split(const std::string& list) {
  std::vector<std::string> parts{""};
  for (char c : list) {
    if (c == ':')
      parts.emplace_back();
    else
      parts.back() += c;
  }
  return parts;
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

// Nothing is set here: whoever opened it has made it so, or is no process of ours.
Result<void> check_arrival(const TapState& state) {
  ifreq queue = TRY(TapQueue::inspect(state.fd.get()));
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
  if ((::fcntl(state.fd.get(), F_GETFL) & O_NONBLOCK) == 0) return fail("TAP '{}' blocks its reader", state.ifname);
  if (state.enabled != ((queue.ifr_flags & IFF_DETACH_QUEUE) == 0)) {
    return fail("a queue of TAP '{}' is announced as {}, which it is not", state.ifname,
                state.enabled ? "attached" : "detached");
  }
  return {};
}

Result<void> check_vhost(const TapConfig& config, const schema::NetdevTapOptions& options) {
  bool given = options.vhostfd || options.vhostfds;
  if (options.vhostfd && options.vhostfds) {
    return fail("netdev '{}': vhostfd= and vhostfds= are mutually exclusive", config.id);
  }
  if (given && !config.vhost) {
    return fail("netdev '{}': vhostfd= and vhostfds= are invalid with vhost=off", config.id);
  }
  if (config.vhost && !config.vnet_hdr) return fail("netdev '{}': vhost=on is invalid with vnet_hdr=off", config.id);
  if (given && config.vhost_fds.size() != config.queues) {
    return fail("netdev '{}': {} vhost descriptors are given for {} queues", config.id, config.vhost_fds.size(),
                config.queues);
  }
  return {};
}

Result<BridgeHelper> bridge_helper(const std::string& id, const std::optional<std::string>& program,
                                   const std::optional<std::string>& bridge) {
  BridgeHelper helper;
  if (program) helper.program = *program;
  if (bridge) helper.bridge = *bridge;
  if (helper.bridge.empty() || helper.bridge.size() >= IFNAMSIZ) {
    return fail("netdev '{}': br={} is no name of a bridge: it has 1 to {} bytes", id, helper.bridge, IFNAMSIZ - 1);
  }
  return helper;
}

Result<std::optional<BridgeHelper>> bridge_helper(const std::string& id, const schema::NetdevTapOptions& options) {
  if (!options.helper) {
    if (options.br) return fail("netdev '{}': br= is for a helper: give helper= too, or use type bridge", id);
    return std::nullopt;
  }
  if (options.fd || options.fds || options.queues || options.ifname || options.script || options.downscript ||
      options.vnet_hdr || options.vhostfds) {
    return fail(
        "netdev '{}': fd=, fds=, queues=, ifname=, script=, downscript=, vnet_hdr= and vhostfds= are invalid with "
        "helper=",
        id);
  }
  return TRY(bridge_helper(id, options.helper, options.br));
}

}  // namespace

Result<TapConfig> TapConfig::from(const std::string& id, const schema::NetdevBridgeOptions& options) {
  TapConfig config{.id = id};
  config.helper = TRY(bridge_helper(id, options.helper, options.br));
  return config;
}

Result<TapConfig> TapConfig::from(const std::string& id, const schema::NetdevTapOptions& options) {
  TapConfig config{
      .id = id,
      .ifname = options.ifname.value_or(""),
      .queues = options.queues.value_or(1),
      .script = options.script.value_or("no"),
      .downscript = options.downscript.value_or("no"),
      .vnet_hdr = options.vnet_hdr.value_or(true),
      .sndbuf = options.sndbuf.value_or(0),
      .local_incoming = options.local_incoming.value_or(false),
      .vhost = options.vhost.value_or(options.vhostforce.value_or(false) || options.vhostfd || options.vhostfds)};
  if (options.vhostfd) config.vhost_fds = {*options.vhostfd};
  if (options.vhostfds) config.vhost_fds = split(*options.vhostfds);
  config.helper = TRY(bridge_helper(id, options));
  if (options.fd && options.fds) return fail("netdev '{}': fd= and fds= are mutually exclusive", id);
  if (options.fd) config.fds = {*options.fd};
  if (options.fds) {
    if (options.queues) return fail("netdev '{}': queues= is invalid with fds=: each descriptor is a queue", id);
    config.fds = split(*options.fds);
    config.queues = static_cast<unsigned>(config.fds.size());
  } else if (options.fd && config.queues != 1) {
    return fail("netdev '{}': fd= is one queue: give all {} with fds=", id, config.queues);
  }
  if (config.queues < 1 || config.queues > kMaxQueuePairs) {
    return fail("netdev '{}': {} queues where 1 to {} are possible", id, config.queues, kMaxQueuePairs);
  }
  bool scripts = options.script || options.downscript;
  if (config.local_incoming && (!config.fds.empty() || config.helper || scripts)) {
    return fail(
        "netdev '{}': local-incoming=on is invalid with fd=, fds=, helper=, script= and downscript=: the TAP arrives "
        "open and configured",
        id);
  }
  if (!config.fds.empty() && (!config.ifname.empty() || scripts)) {
    return fail("netdev '{}': ifname=, script= and downscript= are invalid with fd= and fds=", id);
  }
  if (config.ifname.size() >= IFNAMSIZ) {
    return fail("netdev '{}': interface name '{}' is longer than {} bytes", id, config.ifname, IFNAMSIZ - 1);
  }
  if (config.sndbuf > INT32_MAX) return fail("netdev '{}': sndbuf is larger than {}", id, INT32_MAX);
  TRY(check_vhost(config, options));
  return config;
}

std::unique_ptr<Tap> Tap::create(TapConfig config, NamedFds& named_fds) {
  return std::unique_ptr<Tap>(new Tap(std::move(config), named_fds));
}

Tap::Tap(TapConfig config, NamedFds& named_fds)
    : config_(std::move(config)), named_fds_(named_fds), queues_(config_.queues) {
  if (!config_.vhost) return;
  vhost_ = std::make_unique<VhostNet>(
      VhostNetConfig{.netdev = config_.id, .fds = config_.vhost_fds, .queue_pairs = config_.queues}, named_fds_,
      [this](unsigned pair) { return queues_[pair].fd(); });
}

Tap::~Tap() {
  if (!run_down_script_) return;
  close();
  if (auto result = run_script(config_.downscript, ifname_); !result) {
    log_warning("netdev '{}': {}", config_.id, result.error().message());
  }
}

Result<void> Tap::open() {
  CHECK(pending(), "a TAP is opened once");
  if (vhost_) TRY(vhost_->check());
  std::string doing = fmt::format("netdev '{}'", config_.id);
  auto fds = TRY_DOING(doing, open_queues());
  TRY_DOING(doing, set_up(std::move(fds)));
  if (config_.script != "no") TRY_DOING(doing, run_script(config_.script, ifname_));
  run_down_script_ = config_.downscript != "no";
  return {};
}

Result<std::vector<UniqueFd>> Tap::open_queues() {
  std::vector<UniqueFd> fds;
  if (config_.helper) {
    fds.push_back(TRY(run_bridge_helper(*config_.helper)));
    return fds;
  }
  for (unsigned i = 0; i < config_.queues; ++i) {
    if (!config_.fds.empty()) {
      fds.push_back(TRY(named_fds_.resolve(config_.fds[i])));
      continue;
    }
    // The first queue may have made the interface, and the kernel chosen its name.
    std::string name = i == 0 ? config_.ifname : TRY(TapQueue::inspect(fds[0].get())).ifr_name;
    fds.push_back(TRY(open_by_name(name)));
  }
  return fds;
}

Result<UniqueFd> Tap::open_by_name(const std::string& name) {
  bool exists = !name.empty() && ::if_nametoindex(name.c_str()) != 0;
  if (!exists && config_.script == "no") {
    if (name.empty()) {
      return fail("give ifname= of an existing TAP, script= to configure a new one, or fd=");
    }
    return std::unexpected(Error(fmt::format("TAP '{}' does not exist", name))
                               .remedy(fmt::format("make it: ip tuntap add dev {} mode tap {}vnet_hdr", name,
                                                   config_.queues > 1 ? "multi_queue " : "")));
  }
  UniqueFd fd(::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (!fd) {
    int error = errno;
    auto failure = fail_errno(error, "cannot open /dev/net/tun");
    if (error == ENOENT) return std::unexpected(std::move(failure.error()).remedy("load the module: modprobe tun"));
    return failure;
  }
  ifreq request{};
  request.ifr_flags = static_cast<short>(IFF_TAP | IFF_NO_PI | (config_.vnet_hdr ? IFF_VNET_HDR : 0) |
                                         (config_.queues > 1 ? IFF_MULTI_QUEUE : 0));
  std::strncpy(request.ifr_name, name.c_str(), IFNAMSIZ - 1);
  if (::ioctl(fd.get(), TUNSETIFF, &request) != 0) {
    int error = errno;
    auto failure = fail_errno(error, "cannot attach to TAP '{}'", name);
    const char* remedy =
        error == EBUSY   ? "another process uses it: stop that one, or give this guest a TAP of its own"
        : error == EPERM ? "run as the TAP's owner (ip tuntap add ... user NAME) or with CAP_NET_ADMIN"
        : error == EINVAL && config_.queues > 1
            ? "it is no TAP, or has a single queue: make it with ip tuntap add ... mode tap multi_queue"
        : error == EINVAL ? "it is no TAP, or a multi-queue one: make it with ip tuntap add ... mode tap"
                          : "";
    return std::unexpected(std::move(failure.error()).remedy(remedy));
  }
  return fd;
}

// Makes attached queues ours: header, buffer, blocking mode; then only the first stays attached.  Only the
// opener does this.
Result<void> Tap::set_up(std::vector<UniqueFd> fds) {
  ifreq first = TRY(TapQueue::inspect(fds[0].get()));
  bool has_header = (first.ifr_flags & IFF_VNET_HDR) != 0;
  if (vhost_ && !has_header) return fail("TAP '{}' has no vnet header, which vhost=on needs", first.ifr_name);
  if (has_header && !config_.vnet_hdr)
    return fail("TAP '{}' has a vnet header but vnet_hdr=off was given", first.ifr_name);
  std::vector<int> handles;
  for (size_t i = 0; i < fds.size(); ++i) {
    ifreq queue = TRY(TapQueue::inspect(fds[i].get()));
    if (std::string_view(queue.ifr_name) != first.ifr_name) {
      return fail("queue {} is of TAP '{}', the first one of '{}'", i, queue.ifr_name, first.ifr_name);
    }
    if (fds.size() > 1 && (queue.ifr_flags & IFF_DETACH_QUEUE) != 0) {
      return fail("queue {} of TAP '{}' is detached", i, queue.ifr_name);
    }
    handles.push_back(fds[i].get());
    TRY(TapQueue::check_distinct(handles, i, queue.ifr_name));
    int flags = ::fcntl(fds[i].get(), F_GETFL);
    if (flags < 0 || ::fcntl(fds[i].get(), F_SETFL, flags | O_NONBLOCK) != 0) {
      return fail_errno(errno, "cannot make TAP '{}' non-blocking", queue.ifr_name);
    }
  }
  // The rest belongs to the interface and reaches every queue that is attached now.
  if (has_header && ::ioctl(fds[0].get(), TUNSETVNETHDRSZ, &kVnetHeaderSize) != 0) {
    return fail_errno(errno, "cannot set the vnet header size of TAP '{}'", first.ifr_name);
  }
  int sndbuf = static_cast<int>(config_.sndbuf);
  if (sndbuf != 0 && ::ioctl(fds[0].get(), TUNSETSNDBUF, &sndbuf) != 0) {
    return fail_errno(errno, "cannot set sndbuf of TAP '{}' to {}", first.ifr_name, sndbuf);
  }
  std::vector<TapQueue> queues;
  for (UniqueFd& fd : fds) queues.emplace_back(std::move(fd), true);
  for (size_t i = queues.size(); i-- > 1;) TRY(queues[i].attach(false));
  if (has_header) offloads_ = probe_offloads(queues[0].descriptor());
  vnet_header_ = has_header;
  ifname_ = first.ifr_name;
  // In their places: a port stays where it is.
  std::ranges::move(queues, queues_.begin());
  return {};
}

// Detached from the last one down, so that the kernel's numbers of the queues stay ours.
Result<void> Tap::set_active_pairs(unsigned pairs) {
  CHECK(pairs >= 1 && pairs <= queues_.size(), "the front end asks for pairs that there are");
  std::string doing = fmt::format("TAP '{}'", ifname_);
  for (size_t i = queues_.size(); i-- > pairs;) TRY_DOING(doing, queues_[i].attach(false));
  for (size_t i = 1; i < pairs; ++i) TRY_DOING(doing, queues_[i].attach(true));
  return {};
}

Result<void> Tap::ram_ready(const memory::GuestMemory& memory) {
  if (!vhost_) return {};
  // What is pending may be lent devices by its source.
  if (!pending()) return vhost_->ram_ready(memory);
  vhost_->try_ram_ready(memory);
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
  // The kernel has them together only.
  if (offloads.uso4 && offloads.uso6) flags |= kTunUso4 | kTunUso6;
  if (::ioctl(queues_[0].descriptor(), TUNSETOFFLOAD, flags) != 0) {
    return fail_errno(errno, "cannot set the offloads of TAP '{}'", ifname_);
  }
  return {};
}

Result<const vmstate::Description*> Tap::movable() const {
  if (!pending() && queues_[0].name().empty()) return fail("its TAP '{}' does not exist any more", ifname_);
  return config_.queues == 1 ? &TapState::description() : &TapQueuesState::description();
}

TapState Tap::state_of(const TapQueue& queue, const std::string& ifname) const {
  TapState state;
  state.ifname = ifname;
  state.vnet_header = vnet_header_;
  state.vnet_header_size = vnet_header_ ? kVnetHeaderSize : 0;
  state.has_csum = offloads_.csum;
  state.has_tso4 = offloads_.tso4;
  state.has_tso6 = offloads_.tso6;
  state.has_ecn = offloads_.ecn;
  state.has_ufo = offloads_.ufo;
  state.has_uso = offloads_.uso4;
  state.enabled = queue.attached();
  state.fd = vmstate::Fd::lend(queue.descriptor());
  return state;
}

Result<void> Tap::save(vmstate::Writer& writer) const {
  // As it is called now; only the first queue is always attached and knows.  Asked once: it is the pause.
  std::string ifname = queues_[0].name();
  if (config_.queues == 1) {
    vmstate::write_state(writer, state_of(queues_[0], ifname));
    return {};
  }
  TapQueuesState state;
  for (const TapQueue& queue : queues_) state.queues.push_back(state_of(queue, ifname));
  vmstate::write_state(writer, state);
  return {};
}

Result<void> Tap::adopt(vmstate::Reader& reader) {
  CHECK(pending(), "a TAP is adopted once");
  std::vector<TapState> states;
  if (config_.queues == 1) {
    states.push_back(TRY(vmstate::read_state<TapState>(reader)));
  } else {
    states = TRY(vmstate::read_state<TapQueuesState>(reader)).queues;
  }
  if (states.size() != config_.queues) {
    return fail("{} queues of a TAP arrived where {} are configured", states.size(), config_.queues);
  }
  std::vector<int> handles;
  for (size_t i = 0; i < states.size(); ++i) {
    TRY(check_arrival(states[i]));
    handles.push_back(states[i].fd.get());
    TRY(TapQueue::check_distinct(handles, i, states[i].ifname.c_str()));
  }
  const TapState& state = states[0];
  if (!state.enabled) return fail("the first queue of TAP '{}' is disabled, which it cannot be", state.ifname);
  vnet_header_ = state.vnet_header;
  offloads_ = {.csum = state.has_csum,
               .tso4 = state.has_tso4,
               .tso6 = state.has_tso6,
               .ecn = state.has_ecn,
               .ufo = state.has_ufo,
               .uso4 = state.has_uso,
               .uso6 = state.has_uso};
  ifname_ = state.ifname;
  for (size_t i = 0; i < states.size(); ++i) queues_[i] = TapQueue(states[i].fd.take(), states[i].enabled);
  run_down_script_ = false;
  return {};
}

const vmstate::Description* Tap::early() const { return vhost_ ? &VhostNetEarlyState::description() : nullptr; }

void Tap::thaw() {
  if (vhost_) vhost_->forget_lent();
  // The commit: from now on this process is the last one that holds the TAP, unless it moves again.
  run_down_script_ = config_.downscript != "no";
}

void Tap::release() {
  run_down_script_ = false;
  if (vhost_) vhost_->release();
  close();
}

void Tap::close() {
  for (TapQueue& queue : queues_) queue = {};
}

}  // namespace pagurus::net
