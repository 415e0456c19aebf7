// Just enough Ethernet, ARP, IPv4, ICMP and UDP to answer in the frame that asked.
#pragma once

#include <cstdint>

#include "guest/text.h"
#include "guest/virtio_net.h"

namespace pagurus::guest {

// Takes the text of a control request and writes a reply; returns its size (0: no reply).
class ControlHandler {
 public:
  virtual uint32_t handle_request(TextView request, char* reply, uint32_t capacity) = 0;

 protected:
  ~ControlHandler() = default;
};

struct ProtocolCounters {
  uint64_t arp_replies, icmp_replies, udp_echoes, control_requests, ignored, fragments;
};

// Answers a frame by rewriting it.  Swapping source and destination changes no Internet checksum, so an echo costs the
// same few instructions whatever its size; the sender's own checksum comes back and covers the whole way.
class Responder {
 public:
  static constexpr uint16_t kEchoPort = 7;
  static constexpr uint16_t kControlPort = 4242;

  void init(const NetDevice& device, uint32_t ip, ControlHandler& control);

  // True if the frame now holds an answer to be sent.
  bool answer(Frame& frame);

  const ProtocolCounters& counters() const { return counters_; }

 private:
  bool answer_arp(Frame& frame);
  bool answer_ipv4(Frame& frame);
  bool answer_icmp(Frame& frame, uint32_t offset);
  bool answer_udp(Frame& frame, uint32_t offset);
  bool answer_control(Frame& frame, uint32_t offset, uint32_t length);
  void return_to_sender(Frame& frame);

  const MacAddress* mac_ = nullptr;
  uint32_t ip_ = 0;  // as it lies in memory
  ControlHandler* control_ = nullptr;
  ProtocolCounters counters_ = {};
};

// "10.0.0.2" as it lies in memory; 0 if it is none.
uint32_t parse_ipv4(TextView text);

}  // namespace pagurus::guest
