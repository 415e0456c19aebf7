// Receive-side scaling: a hash over each received frame's addresses and ports, and the queue pair that it
// selects (virtio 1.2, 5.1.6.4.3 and 5.1.6.5.6).
//
// IPv6's extension headers are passed over; the hash types that look into them (*_EX) are not offered.
//
// Threads: none of its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace pagurus::device {

inline constexpr size_t kMaxRssKey = 40;
inline constexpr size_t kMaxRssTable = 128;

// VIRTIO_NET_HASH_TYPE_*: IPv4, TCPv4, UDPv4, IPv6, TCPv6, UDPv6.
inline constexpr uint32_t kSupportedHashTypes = 0x3f;

struct FrameHash {
  uint32_t value = 0;
  uint16_t report = 0;  // VIRTIO_NET_HASH_REPORT_*; 0: no hash of the driver's types fits
};

// Microsoft's; a key that is too short for the input goes on with zeros.
uint32_t toeplitz(std::span<const uint8_t> key, std::span<const uint8_t> input);

struct Rss {
  uint32_t types = 0;  // which hashes
  std::vector<uint8_t> key;
  // The pair for a hash, by its last bits: a power of two of them.  None: a frame stays with the pair that read it.
  std::vector<uint16_t> table;
  uint16_t unclassified = 0;  // the pair for a frame without a hash

  // Of a frame without its virtio header.
  FrameHash hash(std::span<const uint8_t> frame) const;
  unsigned pair_for(const FrameHash& hash, unsigned reader) const;
  // One more than the highest pair it may select.
  unsigned pairs() const;
  bool valid() const;
};

// VIRTIO_NET_CTRL_MQ_RSS_CONFIG's data; nothing for what makes no sense.
struct RssCommand {
  Rss rss;
  uint16_t transmit_pairs = 0;
  static std::optional<RssCommand> parse(std::span<const uint8_t> data);
};
// VIRTIO_NET_CTRL_MQ_HASH_CONFIG's data: a Rss without a table.
std::optional<Rss> parse_hash_config(std::span<const uint8_t> data);

}  // namespace pagurus::device
