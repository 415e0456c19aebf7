// The feature bits of a network device (virtio 1.2, 5.1.3), and which of them we offer and accept.
#pragma once

#include <cstdint>

#include "device/virtio_net/config.h"
#include "net/backend.h"

namespace pagurus::device {

inline constexpr uint64_t kNetCsum = uint64_t{1} << 0;
inline constexpr uint64_t kNetGuestCsum = uint64_t{1} << 1;
inline constexpr uint64_t kNetCtrlGuestOffloads = uint64_t{1} << 2;
inline constexpr uint64_t kNetMtu = uint64_t{1} << 3;
inline constexpr uint64_t kNetMac = uint64_t{1} << 5;
inline constexpr uint64_t kNetGuestTso4 = uint64_t{1} << 7;
inline constexpr uint64_t kNetGuestTso6 = uint64_t{1} << 8;
inline constexpr uint64_t kNetGuestEcn = uint64_t{1} << 9;
inline constexpr uint64_t kNetHostTso4 = uint64_t{1} << 11;
inline constexpr uint64_t kNetHostTso6 = uint64_t{1} << 12;
inline constexpr uint64_t kNetHostEcn = uint64_t{1} << 13;
inline constexpr uint64_t kNetMrgRxbuf = uint64_t{1} << 15;
inline constexpr uint64_t kNetStatus = uint64_t{1} << 16;
inline constexpr uint64_t kNetCtrlVq = uint64_t{1} << 17;
inline constexpr uint64_t kNetCtrlRx = uint64_t{1} << 18;
inline constexpr uint64_t kNetCtrlVlan = uint64_t{1} << 19;
inline constexpr uint64_t kNetCtrlRxExtra = uint64_t{1} << 20;
inline constexpr uint64_t kNetGuestAnnounce = uint64_t{1} << 21;
inline constexpr uint64_t kNetMq = uint64_t{1} << 22;
inline constexpr uint64_t kNetCtrlMacAddr = uint64_t{1} << 23;
// Coalescing and USO: virtio 1.3.
inline constexpr uint64_t kNetNotfCoal = uint64_t{1} << 53;
inline constexpr uint64_t kNetGuestUso4 = uint64_t{1} << 54;
inline constexpr uint64_t kNetGuestUso6 = uint64_t{1} << 55;
inline constexpr uint64_t kNetHostUso = uint64_t{1} << 56;
inline constexpr uint64_t kNetHashReport = uint64_t{1} << 57;
inline constexpr uint64_t kNetRss = uint64_t{1} << 60;
inline constexpr uint64_t kNetSpeedDuplex = uint64_t{1} << 63;

// With any of these, queues are numbered for all pairs (virtio 1.2, 5.1.2).
inline constexpr uint64_t kNetManyPairs = kNetMq | kNetRss;

// What a driver can switch off and on again (virtio 1.2, 5.1.6.5.6).
inline constexpr uint64_t kNetGuestOffloads =
    kNetGuestCsum | kNetGuestTso4 | kNetGuestTso6 | kNetGuestEcn | kNetGuestUso4 | kNetGuestUso6;

// What the properties allow and the back end can do.  A pending back end counts as able: what it
// lacks is found out when it is there.
uint64_t net_features(const VirtioNetConfig& config, net::Backend& backend);
// virtio 1.2, 5.1.3.1: whether every feature has those that it requires.
bool net_features_consistent(uint64_t features);
// What the driver agreed to receive.
net::Offloads net_offloads(uint64_t features);

}  // namespace pagurus::device
