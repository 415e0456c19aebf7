// The hash against Microsoft's published vectors ("Verifying the RSS Hash Calculation"), and the driver's commands.
#include "device/virtio_net/rss.h"

#include <gtest/gtest.h>

#include <array>

#include "base/bytes.h"

namespace pagurus::device {
namespace {

using Bytes = std::vector<uint8_t>;

const Bytes kKey{0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
                 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
                 0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};

struct Vector {
  Bytes from;
  uint16_t from_port;
  Bytes to;
  uint16_t to_port;
  uint32_t with_ports;
  uint32_t addresses_only;
};

const Vector kVectors[] = {
    {{66, 9, 149, 187}, 2794, {161, 142, 100, 80}, 1766, 0x51ccc178, 0x323e8fc2},
    {{199, 92, 111, 2}, 14230, {65, 69, 140, 83}, 4739, 0xc626b0ea, 0xd718262a},
    {{24, 19, 198, 95}, 12898, {12, 22, 207, 184}, 38024, 0x5c2b394a, 0xd2d0a5de},
    {{38, 27, 205, 30}, 48228, {209, 142, 163, 6}, 2217, 0xafc7327f, 0x82989176},
    {{153, 39, 163, 191}, 44251, {202, 188, 127, 2}, 1303, 0x10e828a2, 0x5d1809c5},
    // 3ffe:2501:200:1fff::7 to 3ffe:2501:200:3::1
    {{0x3f, 0xfe, 0x25, 0x01, 0x02, 0x00, 0x1f, 0xff, 0, 0, 0, 0, 0, 0, 0, 7},
     2794,
     {0x3f, 0xfe, 0x25, 0x01, 0x02, 0x00, 0x00, 0x03, 0, 0, 0, 0, 0, 0, 0, 1},
     1766,
     0x40207d3d,
     0x2cc18cd5},
    // 3ffe:501:8::260:97ff:fe40:efab to ff02::1
    {{0x3f, 0xfe, 0x05, 0x01, 0x00, 0x08, 0, 0, 0x02, 0x60, 0x97, 0xff, 0xfe, 0x40, 0xef, 0xab},
     14230,
     {0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1},
     4739,
     0xdde51bbf,
     0x0f0c461c},
    // 3ffe:1900:4545:3:200:f8ff:fe21:67cf to fe80::200:f8ff:fe21:67cf
    {{0x3f, 0xfe, 0x19, 0x00, 0x45, 0x45, 0x00, 0x03, 0x02, 0x00, 0xf8, 0xff, 0xfe, 0x21, 0x67, 0xcf},
     44251,
     {0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0x02, 0x00, 0xf8, 0xff, 0xfe, 0x21, 0x67, 0xcf},
     38024,
     0x02d1feef,
     0x4b61e985},
};

void append(Bytes& bytes, const Bytes& more) { bytes.insert(bytes.end(), more.begin(), more.end()); }

Bytes ports(const Vector& vector) {
  return {static_cast<uint8_t>(vector.from_port >> 8), static_cast<uint8_t>(vector.from_port),
          static_cast<uint8_t>(vector.to_port >> 8), static_cast<uint8_t>(vector.to_port)};
}

bool v6(const Vector& vector) { return vector.from.size() == 16; }

// An Ethernet frame; `extension`: in front of the protocol's header, IPv6 only.
Bytes frame_of(const Vector& vector, uint8_t protocol, const Bytes& tag = {}, const Bytes& extension = {}) {
  Bytes frame(12);
  append(frame, tag);
  if (v6(vector)) {
    append(frame, {0x86, 0xdd, 0x60, 0, 0, 0, 0, 8, extension.empty() ? protocol : uint8_t{0}, 64});
  } else {
    append(frame, {0x08, 0x00, 0x45, 0, 0, 28, 0, 0, 0, 0, 64, protocol, 0, 0});
  }
  append(frame, vector.from);
  append(frame, vector.to);
  append(frame, extension);
  append(frame, ports(vector));
  append(frame, {0, 0, 0, 0});
  return frame;
}

constexpr uint8_t kTcp = 6, kUdp = 17, kIcmp = 1;

TEST(Toeplitz, is_microsoft_s) {
  for (const Vector& vector : kVectors) {
    Bytes input = vector.from;
    append(input, vector.to);
    EXPECT_EQ(toeplitz(kKey, input), vector.addresses_only);
    append(input, ports(vector));
    EXPECT_EQ(toeplitz(kKey, input), vector.with_ports);
  }
}

TEST(Rss, hashes_what_the_driver_asked_for) {
  for (const Vector& vector : kVectors) {
    uint16_t base = v6(vector) ? 4 : 1;
    auto check = [&](uint32_t types, const Bytes& frame, uint16_t report, uint32_t value) {
      FrameHash hash = Rss{.types = types, .key = kKey}.hash(frame);
      EXPECT_EQ(hash.report, report) << types;
      EXPECT_EQ(hash.value, value) << types;
    };
    Bytes tcp = frame_of(vector, kTcp), udp = frame_of(vector, kUdp);
    check(kSupportedHashTypes, tcp, static_cast<uint16_t>(base + 1), vector.with_ports);
    check(kSupportedHashTypes, udp, static_cast<uint16_t>(base + 2), vector.with_ports);
    check(kSupportedHashTypes, frame_of(vector, kIcmp), base, vector.addresses_only);
    check(0x09, tcp, base, vector.addresses_only);
    check(0x12, tcp, static_cast<uint16_t>(base + 1), vector.with_ports);
    check(0x12, udp, 0, 0);
    check(0, tcp, 0, 0);
    check(kSupportedHashTypes, frame_of(vector, kTcp, {0x81, 0, 0, 5}), static_cast<uint16_t>(base + 1),
          vector.with_ports);
    if (v6(vector)) {
      check(kSupportedHashTypes, frame_of(vector, kUdp, {}, {kUdp, 0, 0, 0, 0, 0, 0, 0}), 6, vector.with_ports);
    }
  }
}

TEST(Rss, a_fragment_is_hashed_by_its_addresses) {
  Bytes frame = frame_of(kVectors[0], kUdp);
  frame[14 + 6] = 0x20;
  EXPECT_EQ((Rss{.types = kSupportedHashTypes, .key = kKey}.hash(frame).value), kVectors[0].addresses_only);
}

TEST(Rss, a_frame_cut_anywhere_does_no_harm) {
  Rss rss{.types = kSupportedHashTypes, .key = kKey};
  for (const Vector& vector : kVectors) {
    for (const Bytes& frame : {frame_of(vector, kTcp), frame_of(vector, kTcp, {0x81, 0, 0, 5}),
                               frame_of(vector, kTcp, {}, {0, 255, 0, 0, 0, 0, 0, 0})}) {
      for (size_t size = 0; size <= frame.size(); ++size)
        (void)rss.hash(Bytes(frame.begin(), frame.begin() + static_cast<ptrdiff_t>(size)));
    }
  }
  EXPECT_EQ(rss.hash(Bytes(60)).report, 0);
}

Bytes rss_command(uint32_t types, const std::vector<uint16_t>& table, uint16_t pairs, const Bytes& key) {
  Bytes data(8 + 2 * table.size() + 2);
  store_le<uint32_t>(data.data(), types);
  store_le<uint16_t>(data.data() + 4, static_cast<uint16_t>(table.size() - 1));
  store_le<uint16_t>(data.data() + 6, 1);
  for (size_t i = 0; i < table.size(); ++i) store_le<uint16_t>(data.data() + 8 + 2 * i, table[i]);
  store_le<uint16_t>(data.data() + 8 + 2 * table.size(), pairs);
  data.push_back(static_cast<uint8_t>(key.size()));
  append(data, key);
  return data;
}

TEST(RssCommand, is_taken_whole_or_not_at_all) {
  Bytes good = rss_command(0x3f, {0, 1, 2, 3}, 4, kKey);
  auto parsed = RssCommand::parse(good);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->rss.table, (std::vector<uint16_t>{0, 1, 2, 3}));
  EXPECT_EQ(parsed->rss.unclassified, 1);
  EXPECT_EQ(parsed->rss.key, kKey);
  EXPECT_EQ(parsed->rss.pairs(), 4u);
  EXPECT_EQ(parsed->transmit_pairs, 4);
  EXPECT_EQ(parsed->rss.pair_for({.value = 6, .report = 1}, 0), 2u);
  EXPECT_EQ(parsed->rss.pair_for({}, 0), 1u);
  for (size_t size = 0; size < good.size(); ++size) {
    EXPECT_FALSE(RssCommand::parse(std::span(good).first(size))) << size;
  }
  good.push_back(0);
  EXPECT_FALSE(RssCommand::parse(good)) << "a byte too many";
  EXPECT_FALSE(RssCommand::parse(rss_command(0x40, {0}, 1, kKey))) << "a type that is not offered";
  EXPECT_FALSE(RssCommand::parse(rss_command(0x3f, {0, 1, 2}, 3, kKey))) << "no power of two";
  EXPECT_FALSE(RssCommand::parse(rss_command(0x3f, std::vector<uint16_t>(256), 3, kKey))) << "too long a table";
  EXPECT_FALSE(RssCommand::parse(rss_command(0x3f, {0}, 1, Bytes(41)))) << "too long a key";
  EXPECT_FALSE(RssCommand::parse(rss_command(0x3f, {0}, 1, {}))) << "no key";
  Bytes huge = rss_command(0x3f, {0}, 1, kKey);
  store_le<uint16_t>(huge.data() + 4, 0xffff);
  EXPECT_FALSE(RssCommand::parse(huge)) << "more entries than bytes";
}

TEST(HashConfig, is_taken_whole_or_not_at_all) {
  Bytes good(13);
  good[0] = 0x3f;
  good[12] = static_cast<uint8_t>(kKey.size());
  append(good, kKey);
  auto parsed = parse_hash_config(good);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->types, 0x3fu);
  EXPECT_EQ(parsed->pair_for({.value = 7, .report = 1}, 3), 3u) << "hashed, not steered";
  for (size_t size = 0; size < good.size(); ++size)
    EXPECT_FALSE(parse_hash_config(std::span(good).first(size))) << size;
  good.push_back(0);
  EXPECT_FALSE(parse_hash_config(good));
}

}  // namespace
}  // namespace pagurus::device
