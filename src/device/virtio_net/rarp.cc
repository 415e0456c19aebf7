#include "device/virtio_net/rarp.h"

#include <algorithm>
#include <initializer_list>

namespace pagurus::device {

RarpFrame make_rarp(const MacAddress& mac) {
  RarpFrame frame{};
  auto put = [&frame](size_t at, std::initializer_list<uint8_t> bytes) { std::ranges::copy(bytes, &frame[at]); };
  put(0, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff});
  std::ranges::copy(mac, &frame[6]);
  put(12, {0x80, 0x35});  // RARP
  put(14, {0, 1});        // of Ethernet addresses
  put(16, {8, 0});        // for IPv4 ones
  put(18, {6, 4});        // of these lengths
  put(20, {0, 3});        // reverse request
  // Sender and target; both IPv4 addresses are unknown.
  std::ranges::copy(mac, &frame[22]);
  std::ranges::copy(mac, &frame[32]);
  return frame;
}

}  // namespace pagurus::device
