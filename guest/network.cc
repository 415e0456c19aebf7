// Frame rewriting.  Numbers inside packets are big-endian.

#include "guest/network.h"

namespace pagurus::guest {
namespace {

constexpr uint16_t kArp = 0x0806;
constexpr uint16_t kIpv4 = 0x0800;
constexpr uint8_t kIcmp = 1;
constexpr uint8_t kUdp = 17;
constexpr uint32_t kEthernetSize = 14;
constexpr uint32_t kUdpHeaderSize = 8;

template <typename T>
T load(const uint8_t* at) {
  T value;
  __builtin_memcpy(&value, at, sizeof(T));
  return value;
}

template <typename T>
void store(uint8_t* at, T value) {
  __builtin_memcpy(at, &value, sizeof(T));
}

uint16_t load_be16(const uint8_t* at) { return static_cast<uint16_t>(at[0] << 8 | at[1]); }

void store_be16(uint8_t* at, uint32_t value) {
  at[0] = static_cast<uint8_t>(value >> 8);
  at[1] = static_cast<uint8_t>(value);
}

void swap32(uint8_t* a, uint8_t* b) {
  const auto kept = load<uint32_t>(a);
  store(a, load<uint32_t>(b));
  store(b, kept);
}

void set_ip_checksum(uint8_t* ip, uint32_t header_size) {
  store_be16(ip + 10, 0);
  uint32_t sum = 0;
  for (uint32_t i = 0; i < header_size; i += 2) sum += load_be16(ip + i);
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  store_be16(ip + 10, ~sum);
}

}  // namespace

uint32_t parse_ipv4(TextView text) {
  uint8_t bytes[4];
  for (unsigned i = 0; i < 4; ++i) {
    size_t n = 0;
    while (n < text.size && text.data[n] != '.') ++n;
    const ParsedNumber part = parse_number({text.data, n});
    if (!part.ok || part.value > 255 || (n == text.size) != (i == 3)) return 0;
    bytes[i] = static_cast<uint8_t>(part.value);
    if (i != 3) text = text.from(n + 1);
  }
  return load<uint32_t>(bytes);
}

void Responder::init(const NetDevice& device, uint32_t ip, ControlHandler& control) {
  mac_ = &device.mac();
  ip_ = ip;
  control_ = &control;
}

bool Responder::answer(Frame& frame) {
  const uint16_t type = load_be16(frame.data + 12);
  if (type == kIpv4 && answer_ipv4(frame)) return true;
  if (type == kArp && answer_arp(frame)) return true;
  ++counters_.ignored;
  return false;
}

void Responder::return_to_sender(Frame& frame) {
  __builtin_memcpy(frame.data, frame.data + 6, 6);
  __builtin_memcpy(frame.data + 6, mac_->bytes, 6);
}

bool Responder::answer_arp(Frame& frame) {
  uint8_t* arp = frame.data + kEthernetSize;
  constexpr uint32_t kArpSize = 28;
  if (frame.size < kEthernetSize + kArpSize) return false;
  // Ethernet, IPv4, 6, 4, request
  if (load<uint64_t>(arp) != 0x0100040600080100) return false;
  if (load<uint32_t>(arp + 24) != ip_) return false;
  store_be16(arp + 6, 2);
  __builtin_memcpy(arp + 18, arp + 8, 10);
  __builtin_memcpy(arp + 8, mac_->bytes, 6);
  store(arp + 14, ip_);
  return_to_sender(frame);
  ++counters_.arp_replies;
  return true;
}

bool Responder::answer_ipv4(Frame& frame) {
  uint8_t* ip = frame.data + kEthernetSize;
  if (frame.size < kEthernetSize + 20 || ip[0] >> 4 != 4 || load<uint32_t>(ip + 16) != ip_) return false;
  const uint32_t header_size = (ip[0] & 15u) * 4;
  const uint32_t total = load_be16(ip + 2);
  if (header_size < 20 || total < header_size + 8 || kEthernetSize + total > frame.size) return false;
  if ((load_be16(ip + 6) & 0x3fff) != 0) {
    ++counters_.fragments;
    return false;
  }
  frame.size = kEthernetSize + total;  // without the padding of short frames
  const uint32_t payload = kEthernetSize + header_size;
  const bool answered = ip[9] == kUdp    ? answer_udp(frame, payload)
                        : ip[9] == kIcmp ? answer_icmp(frame, payload)
                                         : false;
  if (!answered) return false;
  swap32(ip + 12, ip + 16);
  return_to_sender(frame);
  return true;
}

bool Responder::answer_icmp(Frame& frame, uint32_t offset) {
  uint8_t* icmp = frame.data + offset;
  constexpr uint8_t kEchoRequest = 8;
  if (icmp[0] != kEchoRequest) return false;
  icmp[0] = 0;
  // RFC 1624: the type was 8 in the high byte of its word, so the sum of all words is now less by 0x0800.
  uint32_t checksum = load_be16(icmp + 2) + 0x0800u;
  checksum = (checksum & 0xffff) + (checksum >> 16);
  store_be16(icmp + 2, checksum);
  ++counters_.icmp_replies;
  return true;
}

bool Responder::answer_udp(Frame& frame, uint32_t offset) {
  uint8_t* udp = frame.data + offset;
  const uint32_t length = load_be16(udp + 4);
  if (length < kUdpHeaderSize || offset + length > frame.size) return false;
  const uint16_t port = load_be16(udp + 2);
  if (port == kEchoPort) {
    ++counters_.udp_echoes;
  } else if (port != kControlPort || !answer_control(frame, offset, length)) {
    return false;
  }
  const auto source = load<uint16_t>(udp);
  store(udp, load<uint16_t>(udp + 2));
  store(udp + 2, source);
  return true;
}

bool Responder::answer_control(Frame& frame, uint32_t offset, uint32_t length) {
  uint8_t* udp = frame.data + offset;
  char* text = reinterpret_cast<char*>(udp + kUdpHeaderSize);
  char request[2 * ControlQueue::kMaxCommand + 64];
  uint32_t size = length - kUdpHeaderSize;
  if (size > sizeof(request)) size = sizeof(request);
  __builtin_memcpy(request, text, size);
  constexpr uint32_t kMtu = 1500;
  const uint32_t capacity = kEthernetSize + kMtu - offset - kUdpHeaderSize;
  const uint32_t reply = control_->handle_request({request, size}, text, capacity);
  if (reply == 0) return false;
  ++counters_.control_requests;
  store_be16(udp + 4, kUdpHeaderSize + reply);
  store_be16(udp + 6, 0);  // a UDP checksum may be left out over IPv4; summing the text would cost more than writing it
  frame.partial_checksum = false;
  uint8_t* ip = frame.data + kEthernetSize;
  frame.size = offset + kUdpHeaderSize + reply;
  store_be16(ip + 2, frame.size - kEthernetSize);
  set_ip_checksum(ip, offset - kEthernetSize);
  return true;
}

}  // namespace pagurus::guest
