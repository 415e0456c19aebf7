// The messages of the vhost-user protocol that this side, its front end, sends and the answers to them, as they
// lie on the wire: in the byte order of the host, without padding between them.  What they mean stands in QEMU's
// docs/interop/vhost-user.rst.
#pragma once

#include <cstddef>
#include <cstdint>

namespace pagurus::net::vhost_user {

enum class Request : uint32_t {
  kGetFeatures = 1,
  kSetFeatures = 2,
  kSetOwner = 3,
  kSetMemTable = 5,
  kSetVringNum = 8,
  kSetVringAddr = 9,
  kSetVringBase = 10,
  kGetVringBase = 11,
  kSetVringKick = 12,
  kSetVringCall = 13,
  kSetVringErr = 14,
  kGetProtocolFeatures = 15,
  kSetProtocolFeatures = 16,
  kGetQueueNum = 17,
  kSetVringEnable = 18,
  kGetInflightFd = 31,
  kSetInflightFd = 32,
};

// The name that the protocol gives it, for messages to people.
const char* name_of(Request request);

struct Header {
  uint32_t request;
  uint32_t flags;
  uint32_t size;  // of the payload
};
static_assert(sizeof(Header) == 12);

inline constexpr uint32_t kVersion = 1;  // in the lowest two bits of flags
inline constexpr uint32_t kVersionMask = 3;
inline constexpr uint32_t kFlagReply = 1U << 2;
inline constexpr uint32_t kFlagNeedReply = 1U << 3;

// Among the features of virtio: protocol features exist.
inline constexpr uint64_t kProtocolFeatures = uint64_t{1} << 30;

inline constexpr uint64_t kProtocolMq = uint64_t{1} << 0;
inline constexpr uint64_t kProtocolReplyAck = uint64_t{1} << 3;
inline constexpr uint64_t kProtocolInflight = uint64_t{1} << 12;

struct VringState {
  uint32_t index;
  uint32_t num;
};
static_assert(sizeof(VringState) == 8);

struct VringAddress {
  uint32_t index;
  uint32_t flags;
  uint64_t descriptors;
  uint64_t used;
  uint64_t available;
  uint64_t log;
};
static_assert(sizeof(VringAddress) == 40);

struct MemoryRegion {
  uint64_t guest_address;
  uint64_t size;
  uint64_t user_address;
  uint64_t file_offset;
};
static_assert(sizeof(MemoryRegion) == 32);

// Where in a file a peer notes which descriptors it has in hand.
struct Inflight {
  uint64_t size;  // 0: it notes nothing
  uint64_t offset;
  uint16_t queues;
  uint16_t queue_size;
  uint32_t padding;
};
static_assert(sizeof(Inflight) == 24);

}  // namespace pagurus::net::vhost_user
