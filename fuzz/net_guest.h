// A virtio-net device with everything around it, driven by a fuzzer instead of by a test.
#pragma once

#include <poll.h>

#include "device/virtio_net/testing/net_fixture.h"

namespace pagurus::fuzz {

class NetGuest final : public device::testing::VirtioNetTest {
 public:
  // Of drive(): also features that the device does not offer.
  static constexpr uint64_t kAnyFeature = uint64_t{1} << 63;

  // A network card whose control queue knows every command.
  static device::VirtioNetConfig card() {
    device::VirtioNetConfig config = device::testing::nic();
    config.ctrl_rx = config.ctrl_rx_extra = config.ctrl_vlan = true;
    config.ctrl_mac_addr = config.ctrl_guest_offloads = true;
    config.notf_coal = true;
    config.packed = true;
    return config;
  }

  NetGuest() : VirtioNetTest(virtio::testing::Layout::kSplit) { power_on(card()); }
  void TestBody() override {}

  // As start_driver(), but nothing is expected: the guest may have made it impossible.
  void drive(uint64_t features) {
    packed_ = (features & virtio::kFeatureRingPacked) != 0;
    for (unsigned i = 0; i < 3; ++i) ring(i).restart();
    negotiate((features & kAnyFeature) != 0 ? features : (features & offered()) | virtio::kFeatureVersion1);
    enable_msix();
    set_queue(0, ring(0).config());
    set_queue(1, ring(1).config());
    if ((features & device::kNetCtrlVq) != 0) set_queue(2, ring(2).config());
    set_common(0x14, 1, 0xf);
  }
  // Of the layout that drive() set up; both lie in the same place.
  virtio::testing::DriverRing& ring(unsigned index) {
    if (packed_) return packed_ring(index);
    return split_ring(index);
  }
  virtio::testing::RingBuilder& split_ring(unsigned index) { return split_rings_[index % 3]; }
  virtio::testing::PackedRingBuilder& packed_ring(unsigned index) { return packed_rings_[index % 3]; }
  std::vector<device::testing::Bytes> hand_over() {
    vmm->freeze();
    auto states = vmm->save();
    auto next = std::make_unique<device::testing::Vmm>(ram, wire.get(), true, card());
    auto loaded = next->load(states);
    CHECK(loaded.has_value(), "whatever a guest does, it does not hinder its own hand-over");
    vmm = std::move(next);
    return states;
  }
  // A device that a guest has broken works again after a reset.
  void check_recovery() {
    vmm->freeze();
    vmm->net->reset();
    vmm->net->set_link(true);
    vmm->net->thaw();
    vmm->net->function().config_write(pci::kCommand, 2, pci::kCommandMemory | pci::kCommandBusMaster);
    rx.restart();
    tx.restart();
    start_driver(0);
    drain_wire();
    send_tx({1, 2, 3, 4});
    pollfd readable{.fd = peer.get(), .events = POLLIN, .revents = 0};
    CHECK(::poll(&readable, 1, 5000) == 1, "after a reset, what the guest sends arrives");
  }

 private:
  virtio::testing::RingBuilder split_rings_[3] = {{ram, {0x10000}, 64}, {ram, {0x20000}, 64}, {ram, {0x30000}, 16}};
  virtio::testing::PackedRingBuilder packed_rings_[3] = {
      {ram, {0x10000}, 63}, {ram, {0x20000}, 61}, {ram, {0x30000}, 13}};
  bool packed_ = false;
};

}  // namespace pagurus::fuzz
