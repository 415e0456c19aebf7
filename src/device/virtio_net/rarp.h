// The frame by which a VMM tells the switches of a network where a guest's MAC address is now, without
// the guest: a reverse request of RARP (RFC 903), which asks for the guest's own address.  Switches
// learn from its sender; nobody answers it nowadays.
#pragma once

#include <array>
#include <cstdint>

#include "device/virtio_net/config.h"

namespace pagurus::device {

// Without the checksum at its end, as short as Ethernet allows.
using RarpFrame = std::array<uint8_t, 60>;
RarpFrame make_rarp(const MacAddress& mac);

}  // namespace pagurus::device
