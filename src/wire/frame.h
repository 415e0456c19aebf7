// The frame around every message, on a socket and in a file: a header of 24 bytes, little-endian, and
// a body.
//
//   0  u32  magic "PGRS"
//   4  u16  protocol version
//   6  u16  message type
//   8  u32  body length, bytes
//   12 u32  number of descriptors that belong to the message
//   16 u32  CRC-32 (IEEE 802.3) of the body
//   20 u32  zero
//
// A reader that knows neither the version nor the type still finds the next frame.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "base/result.h"
#include "vmstate/stream.h"
#include "wire/messages.h"

namespace pagurus::wire {

inline constexpr size_t kHeaderSize = 24;
inline constexpr uint32_t kMaxBody = 64 * 1024 * 1024;
inline constexpr uint32_t kMaxFds = 4096;

struct Header {
  uint16_t version = kProtocolVersion;
  MessageType type{};
  uint32_t length = 0;
  uint32_t fds = 0;
  uint32_t crc = 0;
};

// The header of a message whose body and descriptors are in `writer`.
std::array<uint8_t, kHeaderSize> encode_header(MessageType type, const vmstate::Writer& writer);
// Of any version.  Fails if the magic is another one.
Result<Header> decode_header(std::span<const uint8_t, kHeaderSize> bytes);
// Whether this process can take the message: its version, and the limits above.
Result<void> check_header(const Header& header);
uint32_t checksum(std::span<const uint8_t> body);

}  // namespace pagurus::wire
