#include "device/virtio_net/rss.h"

#include <algorithm>
#include <array>
#include <bit>

#include "base/bytes.h"

namespace pagurus::device {
namespace {

enum Kind : unsigned { kIpv4 = 0, kTcpv4 = 1, kUdpv4 = 2, kIpv6 = 3, kTcpv6 = 4, kUdpv6 = 5 };

constexpr uint8_t kTcp = 6;
constexpr uint8_t kUdp = 17;

uint16_t big_endian(std::span<const uint8_t> bytes, size_t at) {
  return static_cast<uint16_t>(bytes[at] << 8 | bytes[at + 1]);
}

// What the hashes look at: the addresses, both in a row, and the ports behind the header.
struct Packet {
  bool v6 = false;
  std::span<const uint8_t> addresses;
  uint8_t protocol = 0;             // 0: neither, or a fragment
  std::span<const uint8_t> behind;  // the IP header
};

std::optional<Packet> parse_ipv4(std::span<const uint8_t> ip) {
  constexpr size_t kHeader = 20;
  if (ip.size() < kHeader || ip[0] >> 4 != 4) return std::nullopt;
  size_t header = size_t{4} * (ip[0] & 15u);
  if (header < kHeader || header > ip.size()) return std::nullopt;
  bool fragment = (big_endian(ip, 6) & 0x3fff) != 0;
  return Packet{
      .addresses = ip.subspan(12, 8), .protocol = fragment ? uint8_t{0} : ip[9], .behind = ip.subspan(header)};
}

std::optional<Packet> parse_ipv6(std::span<const uint8_t> ip) {
  constexpr size_t kHeader = 40;
  constexpr int kMaxExtensions = 8;
  if (ip.size() < kHeader || ip[0] >> 4 != 6) return std::nullopt;
  Packet packet{.v6 = true, .addresses = ip.subspan(8, 32), .protocol = ip[6], .behind = ip.subspan(kHeader)};
  // Hop-by-hop options, routing, destination options.
  auto extension = [](uint8_t next) { return next == 0 || next == 43 || next == 60; };
  for (int i = 0; i < kMaxExtensions && extension(packet.protocol); ++i) {
    if (packet.behind.size() < 8) break;
    size_t size = 8 + size_t{8} * packet.behind[1];
    if (size > packet.behind.size()) break;
    packet.protocol = packet.behind[0];
    packet.behind = packet.behind.subspan(size);
  }
  return packet;
}

std::optional<Packet> parse_frame(std::span<const uint8_t> frame) {
  constexpr size_t kEthernet = 14;
  constexpr uint16_t kVlan = 0x8100, kServiceVlan = 0x88a8;
  size_t at = kEthernet;
  for (int tags = 0; tags < 2 && frame.size() >= at + 4; ++tags) {
    uint16_t type = big_endian(frame, at - 2);
    if (type != kVlan && type != kServiceVlan) break;
    at += 4;
  }
  if (frame.size() < at) return std::nullopt;
  switch (big_endian(frame, at - 2)) {
    case 0x0800: return parse_ipv4(frame.subspan(at));
    case 0x86dd: return parse_ipv6(frame.subspan(at));
    default: return std::nullopt;
  }
}

// types, key: as both commands have them, the key's length a byte in front of it.
std::optional<Rss> with_key(uint32_t types, std::span<const uint8_t> key) {
  if (key.empty() || key[0] != key.size() - 1) return std::nullopt;
  Rss rss{.types = types, .key = std::vector<uint8_t>(key.begin() + 1, key.end())};
  return rss.valid() ? std::optional(rss) : std::nullopt;
}

}  // namespace

uint32_t toeplitz(std::span<const uint8_t> key, std::span<const uint8_t> input) {
  auto key_byte = [key](size_t at) { return at < key.size() ? key[at] : uint8_t{0}; };
  uint64_t window = 0;
  for (size_t i = 0; i < 8; ++i) window = window << 8 | key_byte(i);
  uint32_t hash = 0;
  for (size_t i = 0; i < input.size(); ++i) {
    for (unsigned bit = 0; bit < 8; ++bit) {
      if ((input[i] & (0x80u >> bit)) != 0) hash ^= static_cast<uint32_t>(window << bit >> 32);
    }
    window = window << 8 | key_byte(i + 8);
  }
  return hash;
}

FrameHash Rss::hash(std::span<const uint8_t> frame) const {
  auto packet = types == 0 ? std::nullopt : parse_frame(frame);
  if (!packet) return {};
  // Both addresses, both ports.
  std::array<uint8_t, 36> input{};
  size_t size = packet->addresses.size();
  std::ranges::copy(packet->addresses, input.begin());
  auto wanted = [this](unsigned kind) { return (types >> kind & 1) != 0; };
  unsigned base = packet->v6 ? kIpv6 : kIpv4;
  unsigned kind = base + (packet->protocol == kTcp ? kTcpv4 : packet->protocol == kUdp ? kUdpv4 : kIpv4);
  if (kind != base && wanted(kind) && packet->behind.size() >= 4) {
    std::copy_n(packet->behind.begin(), 4, input.begin() + static_cast<ptrdiff_t>(size));
    size += 4;
  } else {
    kind = base;
  }
  if (!wanted(kind)) return {};
  // The reports are numbered as the types are, from 1.
  return {.value = toeplitz(key, std::span(input).first(size)), .report = static_cast<uint16_t>(kind + 1)};
}

unsigned Rss::pair_for(const FrameHash& hash, unsigned reader) const {
  if (table.empty()) return reader;
  return hash.report == 0 ? unclassified : table[hash.value & (table.size() - 1)];
}

unsigned Rss::pairs() const {
  if (table.empty()) return 0;
  return 1u + std::max(unclassified, std::ranges::max(table));
}

bool Rss::valid() const {
  bool table_fits = table.empty() || (std::has_single_bit(table.size()) && table.size() <= kMaxRssTable);
  return (types & ~kSupportedHashTypes) == 0 && key.size() <= kMaxRssKey && (types == 0 || !key.empty()) && table_fits;
}

std::optional<RssCommand> RssCommand::parse(std::span<const uint8_t> data) {
  if (data.size() < 8) return std::nullopt;
  uint32_t types = load_le<uint32_t>(data.data());
  size_t entries = size_t{load_le<uint16_t>(data.data() + 4)} + 1;
  uint16_t unclassified = load_le<uint16_t>(data.data() + 6);
  std::span<const uint8_t> rest = data.subspan(8);
  if (!std::has_single_bit(entries) || entries > kMaxRssTable || rest.size() < 2 * entries + 3) return std::nullopt;
  auto rss = with_key(types, rest.subspan(2 * entries + 2));
  if (!rss) return std::nullopt;
  for (size_t i = 0; i < entries; ++i) rss->table.push_back(load_le<uint16_t>(rest.data() + 2 * i));
  rss->unclassified = unclassified;
  return RssCommand{.rss = *std::move(rss), .transmit_pairs = load_le<uint16_t>(rest.data() + 2 * entries)};
}

std::optional<Rss> parse_hash_config(std::span<const uint8_t> data) {
  constexpr size_t kReserved = 8;
  if (data.size() < 4 + kReserved + 1) return std::nullopt;
  return with_key(load_le<uint32_t>(data.data()), data.subspan(4 + kReserved));
}

}  // namespace pagurus::device
