#include "device/virtio_net/config.h"

#include <gtest/gtest.h>

#include "qapi/keyval.h"

namespace pagurus::device {
namespace {

Result<VirtioNetConfig> parse(const std::string& text) {
  auto options = TRY(qapi::from_keyval<schema::DeviceOptions>(text));
  return VirtioNetConfig::from(*options.as_virtio_net_pci(),
                               {.id = options.id.value_or("net0"), .index = 1, .backend_transfer = true});
}

TEST(VirtioNetConfig, says_nothing_but_netdev) {
  auto config = parse("virtio-net-pci,netdev=n0");
  ASSERT_TRUE(config) << config.error().message();
  EXPECT_EQ(config->id, "net0");
  EXPECT_EQ(config->netdev, "n0");
  EXPECT_EQ(to_string(config->mac), "52:54:00:12:34:57");
  EXPECT_EQ(config->rx_queue_size, 256);
  EXPECT_FALSE(config->slot);
  EXPECT_TRUE(config->mrg_rxbuf);
  EXPECT_FALSE(config->packed);
  EXPECT_TRUE(config->backend_transfer);
}

TEST(VirtioNetConfig, every_property_is_taken) {
  auto config = parse(
      "virtio-net-pci,netdev=n0,id=x,mac=02:00:00:00:00:0a,addr=0x1f.0,host_mtu=1400,mrg_rxbuf=off,event_idx=off,"
      "indirect_desc=off,csum=off,guest_csum=off,host_tso4=off,host_tso6=off,host_ecn=off,guest_tso4=off,"
      "guest_tso6=off,guest_ecn=off,guest_announce=off,packed=on,rx_queue_size=1024,tx_queue_size=512,backend-transfer="
      "off");
  ASSERT_TRUE(config) << config.error().message();
  EXPECT_EQ(config->slot, 31u);
  EXPECT_EQ(config->host_mtu, 1400);
  EXPECT_EQ(config->rx_queue_size, 1024);
  EXPECT_EQ(config->tx_queue_size, 512);
  EXPECT_TRUE(config->packed);
  EXPECT_FALSE(config->mrg_rxbuf || config->csum || config->guest_announce || config->backend_transfer);
}

TEST(VirtioNetConfig, nonsense_is_refused_by_name) {
  const std::pair<const char*, const char*> cases[] = {
      {"virtio-net-pci", "netdev"},
      {"virtio-net-pci,netdev=n0,foo=1", "foo"},
      {"virtio-net-pci,netdev=n0,mac=01:00:00:00:00:00", "multicast"},
      {"virtio-net-pci,netdev=n0,mac=52:54:00:12:34", "MAC"},
      {"virtio-net-pci,netdev=n0,addr=20", "addr"},
      {"virtio-net-pci,netdev=n0,addr=3.1", "function 0"},
      {"virtio-net-pci,netdev=n0,host_mtu=67", "68"},
      {"virtio-net-pci,netdev=n0,rx_queue_size=300", "power of two"},
      {"virtio-net-pci,netdev=n0,rx_queue_size=2048", "rx_queue_size"},
      {"virtio-net-pci,netdev=n0,mrg_rxbuf=maybe", "mrg_rxbuf"},
  };
  for (auto [text, word] : cases) {
    auto config = parse(text);
    ASSERT_FALSE(config) << text;
    EXPECT_NE(config.error().message().find(word), std::string::npos) << config.error().message();
  }
}

}  // namespace
}  // namespace pagurus::device
