#include "device/virtio_net/features.h"

#include "virtio/device.h"

namespace pagurus::device {
namespace {

uint64_t when(bool offered, uint64_t feature) { return offered ? feature : 0; }

net::Offloads able(const net::Backend& backend) {
  if (backend.pending()) return {.csum = true, .tso4 = true, .tso6 = true, .ecn = true, .uso4 = true, .uso6 = true};
  // Without a header there is no place to say that a checksum is missing.
  return backend.vnet_header() ? backend.offloads() : net::Offloads{};
}

// What serves the rings must know, whoever that is.  Only the device itself steers frames, and lets interrupts wait.
uint64_t servable(net::Backend& backend) {
  net::RingServer* server = backend.ring_server();
  if (server == nullptr) return ~uint64_t{0};
  return (server->ring_features() | ~net::ring_features_mask()) & ~(kNetRss | kNetHashReport | kNetNotfCoal);
}

}  // namespace

uint64_t net_features(const VirtioNetConfig& config, net::Backend& backend) {
  uint64_t features = virtio::kFeatureVersion1 | kNetMac | kNetStatus;
  features |= when(config.event_idx, virtio::kFeatureEventIdx);
  features |= when(config.indirect_desc, virtio::kFeatureIndirectDesc);
  features |= when(config.packed, virtio::kFeatureRingPacked);
  features |= when(config.host_mtu != 0, kNetMtu);
  features |= when(config.mrg_rxbuf, kNetMrgRxbuf);
  features |= when(config.ctrl_vq, kNetCtrlVq);
  features |= when(config.guest_announce, kNetGuestAnnounce);
  features |= when(config.ctrl_rx, kNetCtrlRx);
  features |= when(config.ctrl_rx_extra, kNetCtrlRxExtra);
  features |= when(config.ctrl_vlan, kNetCtrlVlan);
  features |= when(config.ctrl_mac_addr, kNetCtrlMacAddr);
  features |= when(config.ctrl_guest_offloads, kNetCtrlGuestOffloads);
  features |= when(config.mq, kNetMq);
  features |= when(config.rss, kNetRss);
  features |= when(config.hash, kNetHashReport);
  features |= when(config.notf_coal, kNetNotfCoal);
  features |= when(config.speed || config.duplex, kNetSpeedDuplex);
  net::Offloads host = able(backend);
  bool tso4 = host.csum && host.tso4;
  bool tso6 = host.csum && host.tso6;
  bool ecn = host.ecn && (tso4 || tso6);
  features |= when(config.csum && host.csum, kNetCsum);
  features |= when(config.csum && config.host_tso4 && tso4, kNetHostTso4);
  features |= when(config.csum && config.host_tso6 && tso6, kNetHostTso6);
  features |= when(config.host_ecn && ecn && (features & (kNetHostTso4 | kNetHostTso6)) != 0, kNetHostEcn);
  features |= when(config.guest_csum && host.csum, kNetGuestCsum);
  features |= when(config.guest_csum && config.guest_tso4 && tso4, kNetGuestTso4);
  features |= when(config.guest_csum && config.guest_tso6 && tso6, kNetGuestTso6);
  features |= when(config.guest_ecn && ecn && (features & (kNetGuestTso4 | kNetGuestTso6)) != 0, kNetGuestEcn);
  features |= when(config.csum && config.host_uso && host.csum && host.uso4 && host.uso6, kNetHostUso);
  features |= when(config.guest_csum && config.guest_uso4 && host.csum && host.uso4, kNetGuestUso4);
  features |= when(config.guest_csum && config.guest_uso6 && host.csum && host.uso6, kNetGuestUso6);
  return features & servable(backend);
}

bool net_features_consistent(uint64_t features) {
  auto requires_any = [&](uint64_t feature, uint64_t of) { return (features & feature) == 0 || (features & of) != 0; };
  return requires_any(kNetGuestTso4 | kNetGuestTso6 | kNetGuestUso4 | kNetGuestUso6, kNetGuestCsum) &&
         requires_any(kNetGuestEcn, kNetGuestTso4 | kNetGuestTso6) &&
         requires_any(kNetHostTso4 | kNetHostTso6 | kNetHostUso, kNetCsum) &&
         requires_any(kNetHostEcn, kNetHostTso4 | kNetHostTso6) &&
         requires_any(kNetGuestAnnounce | kNetMq | kNetCtrlRx | kNetCtrlVlan | kNetCtrlMacAddr | kNetRss |
                          kNetHashReport | kNetNotfCoal,
                      kNetCtrlVq);
}

net::Offloads net_offloads(uint64_t features) {
  return {.csum = (features & kNetGuestCsum) != 0,
          .tso4 = (features & kNetGuestTso4) != 0,
          .tso6 = (features & kNetGuestTso6) != 0,
          .ecn = (features & kNetGuestEcn) != 0,
          .uso4 = (features & kNetGuestUso4) != 0,
          .uso6 = (features & kNetGuestUso6) != 0};
}

}  // namespace pagurus::device
