#include "net/vhost_net.h"

// What is left out is no C++.
#define VIRTIO_RING_NO_LEGACY
#include <fcntl.h>
#include <linux/vhost.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>

#include "base/log.h"

namespace pagurus::net {
namespace {

constexpr const char* kDevice = "/dev/vhost-net";
constexpr uint64_t kLogAll = uint64_t{1} << VHOST_F_LOG_ALL;

Result<UniqueFd> open_device() {
  UniqueFd fd(::open(kDevice, O_RDWR | O_CLOEXEC));
  if (fd) return fd;
  int error = errno;
  auto failure = fail_errno(error, "cannot open {}", kDevice);
  const char* remedy = error == ENOENT || error == ENODEV ? "load the module: modprobe vhost_net; or set vhost=off"
                                                          : "let this user open it, or pass an open one: vhostfd=";
  return std::unexpected(std::move(failure.error()).remedy(remedy));
}

// The ioctls' numbers may mean something else to another device: look at what the descriptor is first.
Result<void> check_device(int fd) {
  struct stat info {};
  constexpr unsigned kMiscMajor = 10, kVhostNetMinor = 238;
  bool right = ::fstat(fd, &info) == 0 && S_ISCHR(info.st_mode) && info.st_rdev == makedev(kMiscMajor, kVhostNetMinor);
  if (!right) return fail("file descriptor {} is not an open {}", fd, kDevice);
  return {};
}

constexpr uint64_t kPagesPerWord = 64;

// Its place is the same for a device's two rings: 0 receives, 1 transmits.
unsigned place(unsigned queue) { return queue % 2; }

Result<void> set_backend(int device, unsigned queue, int tap) {
  vhost_vring_file file{.index = place(queue), .fd = tap};
  if (::ioctl(device, VHOST_NET_SET_BACKEND, &file) != 0) {
    return fail_errno(errno, "vhost-net does not take the TAP for queue {}", queue);
  }
  return {};
}

// request: VHOST_SET_VRING_KICK, _CALL or _ERR; fd: an eventfd or VHOST_FILE_UNBIND.
Result<void> set_eventfd(int device, unsigned queue, unsigned long request, int fd) {
  vhost_vring_file file{.index = place(queue), .fd = fd};
  if (::ioctl(device, request, &file) != 0) {
    return fail_errno(errno, "vhost-net does not take an eventfd for queue {}", queue);
  }
  return {};
}

Result<void> become_owner(int device, const memory::GuestMemory& memory) {
  if (::ioctl(device, VHOST_SET_OWNER) != 0) {
    int error = errno;
    auto failure = fail_errno(error, "cannot become the owner of a vhost-net device");
    if (error != EBUSY) return failure;
    return std::unexpected(std::move(failure.error()).remedy("it is in use: pass a freshly opened one"));
  }
  constexpr size_t kMostRanges = 2;
  alignas(vhost_memory) uint8_t bytes[sizeof(vhost_memory) + kMostRanges * sizeof(vhost_memory_region)] = {};
  auto ranges = memory.ranges();
  CHECK(ranges.size() <= kMostRanges, "RAM has one or two ranges");
  vhost_memory header{};
  header.nregions = static_cast<uint32_t>(ranges.size());
  std::memcpy(bytes, &header, sizeof header);
  for (size_t i = 0; i < ranges.size(); ++i) {
    vhost_memory_region region{};
    region.guest_phys_addr = ranges[i].base.value;
    region.memory_size = ranges[i].size;
    region.userspace_addr = reinterpret_cast<uint64_t>(memory.host_base() + ranges[i].offset);
    std::memcpy(bytes + sizeof header + i * sizeof region, &region, sizeof region);
  }
  if (::ioctl(device, VHOST_SET_MEM_TABLE, bytes) != 0) {
    return fail_errno(errno, "cannot give the guest's RAM to a vhost-net device");
  }
  return {};
}

Result<uint64_t> features_of(int device) {
  uint64_t features = 0;
  if (::ioctl(device, VHOST_GET_FEATURES, &features) != 0) {
    return fail_errno(errno, "cannot read the features of a vhost-net device");
  }
  return features;
}

bool same_setting(const Ring& a, const Ring& b) {
  return a.queue == b.queue && a.size == b.size && a.descriptors == b.descriptors && a.driver == b.driver &&
         a.device == b.device && a.kick_fd == b.kick_fd && a.call_fd == b.call_fd && a.error_fd == b.error_fd;
}

}  // namespace

VhostNet::VhostNet(VhostNetConfig config, NamedFds& named_fds, TapFd tap_fd)
    : config_(std::move(config)), named_fds_(named_fds), tap_fd_(std::move(tap_fd)) {}

// --- Devices ----------------------------------------------------------------------------------

Error VhostNet::explain(Error error) const {
  return std::move(error).while_doing(fmt::format("netdev '{}': vhost=on", config_.netdev));
}

Result<std::vector<UniqueFd>> VhostNet::open_own() {
  std::vector<UniqueFd> devices;
  for (unsigned pair = 0; pair < config_.queue_pairs; ++pair) {
    devices.push_back(config_.fds.empty() ? TRY(open_device()) : TRY(named_fds_.resolve(config_.fds[pair])));
  }
  return devices;
}

Result<void> VhostNet::set_up(std::vector<UniqueFd> devices) {
  if (devices.size() != config_.queue_pairs) {
    return fail("{} vhost-net devices for {} queue pairs", devices.size(), config_.queue_pairs);
  }
  uint64_t features = ~uint64_t{0};
  for (const UniqueFd& device : devices) {
    TRY(check_device(device.get()));
    TRY(become_owner(device.get(), *memory_));
    features &= TRY(features_of(device.get()));
  }
  devices_ = std::move(devices);
  features_ = features;
  problem_.reset();
  return {};
}

Result<void> VhostNet::ram_ready(const memory::GuestMemory& memory) {
  try_ram_ready(memory);
  return check();
}

void VhostNet::try_ram_ready(const memory::GuestMemory& memory) {
  memory_ = &memory;
  auto opened = open_own();
  auto ready = opened ? set_up(*std::move(opened)) : Result<void>(std::unexpected(std::move(opened.error())));
  if (!ready) problem_ = explain(std::move(ready.error()));
}

Result<void> VhostNet::check() const {
  if (problem_) return std::unexpected(*problem_);
  return {};
}

void VhostNet::save_early(vmstate::Writer& writer) {
  lent_.clear();
  VhostNetEarlyState state;
  for (unsigned pair = 0; pair < config_.queue_pairs; ++pair) {
    auto device = open_device();
    if (!device) {
      lent_.clear();
      state.reason = device.error().message();
      break;
    }
    lent_.push_back(*std::move(device));
  }
  for (const UniqueFd& device : lent_) state.devices.push_back(vmstate::Fd::lend(device.get()));
  vmstate::write_state(writer, state);
}

Result<void> VhostNet::adopt_early(vmstate::Reader& reader) {
  auto state = TRY(vmstate::read_state<VhostNetEarlyState>(reader));
  if (!problem_) return {};
  if (state.devices.empty()) {
    return fail("{}; and the source has none to lend: {}", problem_->message(), state.reason);
  }
  std::vector<UniqueFd> devices;
  for (vmstate::Fd& device : state.devices) devices.push_back(device.take());
  if (auto ready = set_up(std::move(devices)); !ready) return std::unexpected(explain(std::move(ready.error())));
  return {};
}

void VhostNet::release() {
  rings_.clear();
  devices_.clear();
  lent_.clear();
}

// --- Rings ------------------------------------------------------------------------------------

// features: without VHOST_F_LOG_ALL.
Result<void> VhostNet::set_features(uint64_t features) {
  if (!log_.empty()) features |= kLogAll;
  if (features == set_features_) return {};
  for (const UniqueFd& device : devices_) {
    if (::ioctl(device.get(), VHOST_SET_FEATURES, &features) != 0) {
      return fail_errno(errno, "vhost-net does not take the features {:#x}", features);
    }
  }
  set_features_ = features;
  return {};
}

Result<void> VhostNet::set_ring(const Ring& ring) {
  int device = device_of(ring.queue);
  vhost_vring_state number{.index = place(ring.queue), .num = ring.size};
  if (::ioctl(device, VHOST_SET_VRING_NUM, &number) != 0) {
    return fail_errno(errno, "vhost-net does not take {} entries for queue {}", ring.size, ring.queue);
  }
  auto host = [this](memory::GuestAddress address) { return reinterpret_cast<uint64_t>(memory_->slice(address, 1)); };
  vhost_vring_addr address{};
  address.index = place(ring.queue);
  address.desc_user_addr = host(ring.descriptors);
  address.avail_user_addr = host(ring.driver);
  address.used_user_addr = host(ring.device);
  if (!log_.empty()) {
    address.flags = 1 << VHOST_VRING_F_LOG;
    address.log_guest_addr = ring.device.value;
  }
  if (::ioctl(device, VHOST_SET_VRING_ADDR, &address) != 0) {
    return fail_errno(errno, "vhost-net does not take the rings of queue {}", ring.queue);
  }
  TRY(set_eventfd(device, ring.queue, VHOST_SET_VRING_CALL, ring.call_fd));
  TRY(set_eventfd(device, ring.queue, VHOST_SET_VRING_ERR, ring.error_fd));
  return set_eventfd(device, ring.queue, VHOST_SET_VRING_KICK, ring.kick_fd);
}

Result<void> VhostNet::start(std::span<const Ring> rings, uint64_t features, RingOrigin) {
  if (devices_.empty()) return fail("netdev '{}': its vhost-net devices are not open", config_.netdev);
  CHECK(!serving_, "rings are set up while they are not served");
  std::string doing = fmt::format("netdev '{}'", config_.netdev);
  TRY_DOING(doing, set_features(features & features_ & ring_features_mask()));
  std::vector<Ring> known = std::exchange(rings_, {});
  for (const Ring& ring : rings) {
    CHECK(ring.queue / 2 < devices_.size(), "a queue belongs to a queue pair");
    bool set = std::ranges::any_of(known, [&](const Ring& other) { return same_setting(ring, other); });
    if (!set) TRY_DOING(doing, set_ring(ring));
    rings_.push_back(ring);
  }
  return {};
}

Result<void> VhostNet::resume() {
  if (serving_ || rings_.empty()) return {};
  serving_ = true;
  std::string doing = fmt::format("netdev '{}'", config_.netdev);
  for (const Ring& ring : rings_) {
    int device = device_of(ring.queue);
    vhost_vring_state base{.index = place(ring.queue), .num = ring.position.avail};
    if (::ioctl(device, VHOST_SET_VRING_BASE, &base) != 0) {
      return fail_errno(errno, "{}: vhost-net does not take the position of queue {}", doing, ring.queue);
    }
    TRY_DOING(doing, set_backend(device, ring.queue, tap_fd_(ring.queue / 2)));
  }
  return {};
}

void VhostNet::pause(PauseReason) {
  if (!std::exchange(serving_, false)) return;
  for (Ring& ring : rings_) {
    int device = device_of(ring.queue);
    // Waits until the kernel has nothing of this ring in its hands.
    if (auto detached = set_backend(device, ring.queue, VHOST_FILE_UNBIND); !detached) {
      log_error("netdev '{}': {}", config_.netdev, detached.error().message());
    }
    vhost_vring_state base{.index = place(ring.queue), .num = 0};
    CHECK(::ioctl(device, VHOST_GET_VRING_BASE, &base) == 0, "an owner may ask for a ring's position");
    ring.position = {.avail = static_cast<uint16_t>(base.num), .used = used_index(*memory_, ring)};
  }
}

void VhostNet::stop() {
  pause(PauseReason::kStop);
  for (const Ring& ring : rings_) {
    for (unsigned long request : {VHOST_SET_VRING_KICK, VHOST_SET_VRING_CALL, VHOST_SET_VRING_ERR}) {
      auto unbound = set_eventfd(device_of(ring.queue), ring.queue, request, VHOST_FILE_UNBIND);
      if (!unbound) log_error("netdev '{}': {}", config_.netdev, unbound.error().message());
    }
  }
  rings_.clear();
}

std::optional<RingPosition> VhostNet::position(unsigned queue) const {
  if (serving_) return std::nullopt;
  auto ring = std::ranges::find(rings_, queue, &Ring::queue);
  return ring == rings_.end() ? std::nullopt : std::optional(ring->position);
}

// --- Log of what the kernel writes ------------------------------------------------------------

Result<void> VhostNet::can_log() const {
  if ((features_ & kLogAll) == 0) return fail("this kernel's vhost-net does not tell what it writes to RAM");
  return {};
}

Result<void> VhostNet::start_log() {
  CHECK(!serving_, "a log is begun while the rings are not served");
  if (devices_.empty()) return fail("netdev '{}': its vhost-net devices are not open", config_.netdev);
  TRY(can_log());
  const memory::RamRange last = memory_->ranges().back();
  uint64_t pages = (last.base.value + last.size) / memory::kPageSize;
  log_.assign((pages + kPagesPerWord - 1) / kPagesPerWord, 0);
  auto base = reinterpret_cast<uint64_t>(log_.data());
  for (const UniqueFd& device : devices_) {
    if (::ioctl(device.get(), VHOST_SET_LOG_BASE, &base) == 0) continue;
    auto failure = fail_errno(errno, "netdev '{}': vhost-net takes no log", config_.netdev);
    stop_log();
    return failure;
  }
  auto renewed = renew_log();
  if (!renewed) stop_log();
  return renewed;
}

void VhostNet::collect_log() {
  for (size_t i = 0; i < log_.size(); ++i) {
    // The kernel sets bits meanwhile.
    if (__atomic_load_n(&log_[i], __ATOMIC_RELAXED) == 0) continue;
    uint64_t word = __atomic_exchange_n(&log_[i], 0, __ATOMIC_ACQ_REL);
    for (; word != 0; word &= word - 1) {
      uint64_t page = i * kPagesPerWord + static_cast<uint64_t>(std::countr_zero(word));
      const uint8_t* host = memory_->slice({page * memory::kPageSize}, memory::kPageSize);
      if (host != nullptr) memory_->note_written(host, memory::kPageSize);
    }
  }
}

void VhostNet::stop_log() {
  CHECK(!serving_, "a log is ended while the rings are not served");
  if (log_.empty()) return;
  std::vector<uint64_t> log = std::exchange(log_, {});
  if (auto renewed = renew_log(); !renewed) {
    log_error("{}", renewed.error().message());
    // The kernel may go on to write there.
    log_ = std::move(log);
  }
}

Result<void> VhostNet::renew_log() {
  std::string doing = fmt::format("netdev '{}'", config_.netdev);
  TRY_DOING(doing, set_features(set_features_ & ~kLogAll));
  for (const Ring& ring : rings_) TRY_DOING(doing, set_ring(ring));
  return {};
}

}  // namespace pagurus::net
