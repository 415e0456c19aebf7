#include "net/vhost_user/peer.h"

#include <sys/stat.h>

namespace pagurus::net::vhost_user {
namespace {

constexpr uint64_t bit(unsigned number) { return uint64_t{1} << number; }

constexpr uint64_t kMq = bit(22);
constexpr uint64_t kVersion1 = bit(32);
constexpr uint64_t kRingPacked = bit(34);

// The features of a network device that whoever serves its rings must know (virtio 1.2, 5.1.3 and 6): offloads,
// MRG_RXBUF, MQ and what a ring may look like.
constexpr uint64_t kPeersBusiness = [] {
  uint64_t features = ring_features_mask();
  for (unsigned number : {0, 1, 7, 8, 9, 10, 11, 12, 13, 14, 22, 54, 55, 56}) features |= bit(number);
  return features;
}();

constexpr uint64_t kProtocolWanted = kProtocolMq | kProtocolReplyAck | kProtocolInflight;

// Far above guest-physical addresses, so that a peer that mixes the two up is noticed.
constexpr uint64_t kUserAddressBase = bit(46);

uint64_t user_address(memory::GuestAddress address) { return kUserAddressBase + address.value; }

}  // namespace

Result<std::unique_ptr<Peer>> Peer::greet(UniqueFd socket, unsigned queue_pairs, std::chrono::milliseconds patience) {
  std::unique_ptr<Peer> peer(new Peer(std::move(socket), patience));
  peer->error_ = TRY(make_eventfd());
  TRY(peer->agree(queue_pairs));
  return peer;
}

std::unique_ptr<Peer> Peer::take_over(UniqueFd socket, UniqueFd error, const Terms& terms) {
  std::unique_ptr<Peer> peer(new Peer(std::move(socket), Connection::kPatience));
  peer->error_ = std::move(error);
  peer->terms_ = terms;
  if ((terms.protocol & kProtocolReplyAck) != 0) peer->connection_.expect_acknowledgements();
  return peer;
}

Result<void> Peer::agree(unsigned queue_pairs) {
  terms_.offered = TRY(connection_.ask_for<uint64_t>(Request::kGetFeatures));
  if ((terms_.offered & kVersion1) == 0) return fail("the peer does not serve modern devices (VIRTIO_F_VERSION_1)");
  if ((terms_.offered & kProtocolFeatures) != 0) {
    terms_.protocol = TRY(connection_.ask_for<uint64_t>(Request::kGetProtocolFeatures)) & kProtocolWanted;
    TRY(connection_.tell(Request::kSetProtocolFeatures, bytes_of(terms_.protocol)));
    if ((terms_.protocol & kProtocolReplyAck) != 0) connection_.expect_acknowledgements();
  }
  uint64_t pairs = 1;
  if ((terms_.protocol & kProtocolMq) != 0) pairs = TRY(connection_.ask_for<uint64_t>(Request::kGetQueueNum));
  if (pairs < queue_pairs) return fail("the peer serves {} queue pairs at most, where queues={}", pairs, queue_pairs);
  return connection_.tell(Request::kSetOwner, {});
}

bool Peer::packed() const { return (terms_.accepted & kRingPacked) != 0; }

Result<void> Peer::set_features(uint64_t features) {
  uint64_t accepted = features & kPeersBusiness;
  // Of several pairs it knows by its protocol features.
  if ((terms_.offered & kMq) == 0) accepted &= ~kMq;
  if (uint64_t missing = accepted & ~terms_.offered; missing != 0) {
    return fail("the peer does not offer features {:#x}, which the guest uses", missing);
  }
  accepted |= terms_.offered & kProtocolFeatures;
  if (accepted == terms_.accepted) return {};
  TRY(connection_.tell(Request::kSetFeatures, bytes_of(accepted)));
  terms_.accepted = accepted;
  return {};
}

Result<void> Peer::set_ram(const memory::GuestMemory& memory) {
  if (terms_.knows_ram) return {};
  auto ranges = memory.ranges();
  Bytes table;
  append(table, static_cast<uint32_t>(ranges.size()));
  append(table, uint32_t{0});  // padding
  std::vector<int> fds;
  for (const memory::RamRange& range : ranges) {
    append(table, MemoryRegion{.guest_address = range.base.value,
                               .size = range.size,
                               .user_address = user_address(range.base),
                               .file_offset = range.offset});
    fds.push_back(memory.fd());
  }
  TRY(connection_.tell(Request::kSetMemTable, table, fds));
  terms_.knows_ram = true;
  return {};
}

Result<void> InflightRegion::check() const {
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return fail_errno(errno, "cannot examine the file of the in-flight region");
  if (!S_ISREG(status.st_mode)) return fail("the in-flight region is in no file");
  auto file_size = static_cast<uint64_t>(status.st_size);
  if (size == 0 || offset > file_size || size > file_size - offset) {
    return fail("the in-flight region has {} bytes at {} of a file of {}", size, offset, file_size);
  }
  return {};
}

Result<std::optional<InflightRegion>> Peer::get_inflight(uint16_t queues, uint16_t queue_size) {
  constexpr Request kRequest = Request::kGetInflightFd;
  Inflight described{.size = 0, .offset = 0, .queues = queues, .queue_size = queue_size, .padding = 0};
  auto answer = TRY(connection_.ask(kRequest, bytes_of(described), sizeof described, 1));
  std::memcpy(&described, answer.payload.data(), sizeof described);
  if (described.size == 0 && answer.fds.empty()) return std::nullopt;
  if (answer.fds.empty()) return fail("{}: the answer has no file descriptor", name_of(kRequest));
  if (described.queues != queues || described.queue_size != queue_size) {
    return fail("{}: the answer is for {} queues of {}, not {} of {}", name_of(kRequest), described.queues,
                described.queue_size, queues, queue_size);
  }
  InflightRegion region{.fd = std::move(answer.fds.front()),
                        .size = described.size,
                        .offset = described.offset,
                        .queues = queues,
                        .queue_size = queue_size};
  TRY_DOING(name_of(kRequest), region.check());
  return region;
}

Result<void> Peer::set_inflight(std::optional<InflightRegion>& region, uint16_t queues, uint16_t queue_size) {
  if (terms_.knows_inflight) return {};
  if ((terms_.protocol & kProtocolInflight) == 0) {
    // What it takes in hand would not be noted: for the next one the notes would be wrong.
    region.reset();
    return {};
  }
  if (!region) region = TRY(get_inflight(queues, queue_size));
  if (region) {
    Inflight described{.size = region->size,
                       .offset = region->offset,
                       .queues = region->queues,
                       .queue_size = region->queue_size,
                       .padding = 0};
    int fd = region->fd.get();
    TRY(connection_.tell(Request::kSetInflightFd, bytes_of(described), {&fd, 1}));
  }
  terms_.knows_inflight = true;
  return {};
}

Result<void> Peer::start_ring(const Ring& ring) {
  uint32_t base = ring.position.avail;
  if (packed()) base |= uint32_t{ring.position.used} << 16;
  auto state = [&](uint32_t num) { return bytes_of(VringState{.index = ring.queue, .num = num}); };
  TRY(connection_.tell(Request::kSetVringNum, state(ring.size)));
  TRY(connection_.tell(Request::kSetVringBase, state(base)));
  VringAddress address{.index = ring.queue,
                       .flags = 0,
                       .descriptors = user_address(ring.descriptors),
                       .used = user_address(ring.device),
                       .available = user_address(ring.driver),
                       .log = 0};
  TRY(connection_.tell(Request::kSetVringAddr, bytes_of(address)));
  // The number in the lowest byte; the ninth bit would say that there is no descriptor.
  Bytes queue = bytes_of(uint64_t{ring.queue});
  int error = error_.get();
  TRY(connection_.tell(Request::kSetVringErr, queue, {&error, 1}));
  TRY(connection_.tell(Request::kSetVringCall, queue, {&ring.call_fd, 1}));
  return connection_.tell(Request::kSetVringKick, queue, {&ring.kick_fd, 1});
}

Result<void> Peer::enable_ring(unsigned queue, bool enabled) {
  // Without protocol features a ring is enabled from the beginning.
  if ((terms_.offered & kProtocolFeatures) == 0) return {};
  return connection_.tell(Request::kSetVringEnable, bytes_of(VringState{.index = queue, .num = enabled ? 1U : 0U}));
}

Result<StoppedAt> Peer::stop_ring(unsigned queue) {
  auto state = TRY(connection_.ask_for<VringState>(Request::kGetVringBase, bytes_of(VringState{queue, 0})));
  if (state.index != queue) return fail("GET_VRING_BASE: the answer is for queue {}, not {}", state.index, queue);
  if (!packed() && state.num > UINT16_MAX) return fail("GET_VRING_BASE: {:#x} is no index of a ring", state.num);
  return StoppedAt{.avail = static_cast<uint16_t>(state.num), .used = static_cast<uint16_t>(state.num >> 16)};
}

}  // namespace pagurus::net::vhost_user
