#include "wire/frame.h"

#include <zlib.h>

namespace pagurus::wire {
namespace {

constexpr uint32_t kMagic = 0x53524750;  // "PGRS"

}  // namespace

uint32_t checksum(std::span<const uint8_t> body) {
  return static_cast<uint32_t>(::crc32_z(0, body.data(), body.size()));
}

std::array<uint8_t, kHeaderSize> encode_header(MessageType type, const vmstate::Writer& writer) {
  std::array<uint8_t, kHeaderSize> bytes{};
  store_le<uint32_t>(&bytes[0], kMagic);
  store_le<uint16_t>(&bytes[4], kProtocolVersion);
  store_le<uint16_t>(&bytes[6], static_cast<uint16_t>(type));
  store_le<uint32_t>(&bytes[8], static_cast<uint32_t>(writer.bytes().size()));
  store_le<uint32_t>(&bytes[12], static_cast<uint32_t>(writer.fds().size()));
  store_le<uint32_t>(&bytes[16], checksum(writer.bytes()));
  return bytes;
}

Result<Header> decode_header(std::span<const uint8_t, kHeaderSize> bytes) {
  if (load_le<uint32_t>(&bytes[0]) != kMagic) return fail("what arrived is no Pagurus hand-over message");
  return Header{.version = load_le<uint16_t>(&bytes[4]),
                .type = static_cast<MessageType>(load_le<uint16_t>(&bytes[6])),
                .length = load_le<uint32_t>(&bytes[8]),
                .fds = load_le<uint32_t>(&bytes[12]),
                .crc = load_le<uint32_t>(&bytes[16])};
}

Result<void> check_header(const Header& header) {
  if (header.version != kProtocolVersion) {
    return fail("the peer speaks hand-over protocol {}, this process {}", header.version, kProtocolVersion);
  }
  if (header.length > kMaxBody || header.fds > kMaxFds) {
    return fail("a message of {} bytes and {} file descriptors is too large", header.length, header.fds);
  }
  return {};
}

}  // namespace pagurus::wire
