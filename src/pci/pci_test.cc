#include <gtest/gtest.h>

#include "pci/bus.h"
#include "pci/testing/fakes.h"

namespace pagurus::pci {
namespace {

constexpr PciBus::Window kWindow{.base = 0xc000'0000, .size = 0x1000'0000};
constexpr Identity kIdentity{.vendor = 0x1af4, .device = 0x1041, .class_code = 0x020000, .revision = 1};

class Scratch final : public bus::IoHandler {
 public:
  uint64_t io_read(uint64_t offset, unsigned) override { return offset; }
  void io_write(uint64_t offset, unsigned, uint64_t value) override { last = {offset, value}; }
  std::pair<uint64_t, uint64_t> last{};
};

class Listener final : public BarListener {
 public:
  void bar_mapped(memory::GuestAddress base) override { events.push_back("+" + std::to_string(base.value)); }
  void bar_unmapped(memory::GuestAddress base) override { events.push_back("-" + std::to_string(base.value)); }
  std::vector<std::string> events;
};

struct PciTest : ::testing::Test {
  PciTest() {
    function.add_bar(0, 0x4000, scratch, &listener);
    msix = &function.add_msix(1, 3, msi);
    EXPECT_EQ(bus.add(function, std::nullopt).value(), 1u);
    EXPECT_TRUE(bus.assign_bars());
  }
  uint32_t bar(unsigned index) { return function.config_read(static_cast<uint16_t>(kBar0 + 4 * index), 4); }
  void enable_memory() { function.config_write(kCommand, 2, kCommandMemory | kCommandBusMaster); }
  uint8_t find_capability(uint8_t id) {
    auto at = static_cast<uint8_t>(function.config_read(kCapabilityPointer, 1));
    while (at != 0 && function.config_read(at, 1) != id) at = static_cast<uint8_t>(function.config_read(at + 1, 1));
    return at;
  }
  void set_msix(uint16_t control) { function.config_write(find_capability(0x11) + 2, 2, control); }
  void set_vector(unsigned vector, uint32_t data, uint32_t control) {
    msix->io_write(16 * vector, 8, 0xfee0'0000);
    msix->io_write(16 * vector + 8, 4, data);
    msix->io_write(16 * vector + 12, 4, control);
  }

  bus::IoBus mmio;
  testing::RecordingMsi msi;
  Scratch scratch;
  Listener listener;
  PciFunction function{"nic", kIdentity, mmio};
  Msix* msix = nullptr;
  PciBus bus{mmio, kWindow};
};

TEST_F(PciTest, identity_is_read_only) {
  function.config_write(0, 4, 0);
  EXPECT_EQ(function.config_read(0, 4), 0x1041'1af4u);
  EXPECT_EQ(function.config_read(8, 4), 0x0200'0001u);
  EXPECT_EQ(function.config_read(0x3d, 1), 0u) << "there is no INTx";
  EXPECT_EQ(function.config_read(0x100, 4), 0u) << "no extended capability";
}

TEST_F(PciTest, a_bar_tells_its_size_and_keeps_its_address) {
  uint32_t address = bar(0);
  EXPECT_EQ(address, kWindow.base);
  function.config_write(kBar0, 4, 0xffff'ffff);
  EXPECT_EQ(bar(0), 0xffff'c000u);
  function.config_write(kBar0, 4, address);
  EXPECT_EQ(bar(0), address);
  function.config_write(kBar0 + 8, 4, 0xffff'ffff);
  EXPECT_EQ(bar(2), 0u) << "a BAR that does not exist has no writable bits";
}

TEST_F(PciTest, bars_are_decoded_only_while_the_command_register_says_so) {
  EXPECT_EQ(mmio.read(bar(0) + 8, 4), ~uint64_t{0});
  enable_memory();
  EXPECT_EQ(mmio.read(bar(0) + 8, 4), 8u);
  function.config_write(kBar0, 4, 0xd000'0000);
  EXPECT_EQ(mmio.read(kWindow.base + 8, 4), ~uint64_t{0});
  EXPECT_EQ(mmio.read(0xd000'0008, 4), 8u);
  function.config_write(kCommand, 2, 0);
  EXPECT_EQ(mmio.read(0xd000'0008, 4), ~uint64_t{0});
  std::vector<std::string> expected{"+3221225472", "-3221225472", "+3489660928", "-3489660928"};
  EXPECT_EQ(listener.events, expected);
}

TEST_F(PciTest, a_bar_put_onto_another_is_not_mapped_and_counted) {
  enable_memory();
  function.config_write(kBar0 + 4, 4, bar(0));
  EXPECT_EQ(function.guest_faults(), 1u);
  EXPECT_EQ(mmio.read(bar(0) + 8, 4), 8u) << "the first one stays";
  function.reset();
  EXPECT_EQ(bar(1), kWindow.base + 0x4000);
}

TEST_F(PciTest, msix_sends_only_when_enabled_and_unmasked) {
  set_vector(1, 0x31, 0);
  msix->notify(1);
  EXPECT_TRUE(msi.take().empty()) << "off";
  set_msix(1 << 15);
  msix->notify(1);
  EXPECT_EQ(msi.take(), (std::vector<bus::MsiMessage>{{.address = 0xfee0'0000, .data = 0x31}}));
  msix->notify(0xffff);
  msix->notify(3);
  EXPECT_TRUE(msi.take().empty()) << "vectors that do not exist";
}

TEST_F(PciTest, a_masked_vector_is_pending_until_it_is_unmasked) {
  set_vector(2, 0x32, 1);
  set_msix(1 << 15);
  msix->notify(2);
  msix->notify(2);
  EXPECT_TRUE(msi.take().empty());
  EXPECT_EQ(msix->io_read(msix->pending_offset(), 8), 4u);
  set_vector(2, 0x33, 0);
  EXPECT_EQ(msi.take(), (std::vector<bus::MsiMessage>{{.address = 0xfee0'0000, .data = 0x33}})) << "once, as it is now";
  EXPECT_EQ(msix->io_read(msix->pending_offset(), 8), 0u);
}

TEST_F(PciTest, the_function_mask_holds_back_every_vector) {
  set_vector(0, 0x30, 0);
  set_vector(1, 0x31, 0);
  set_msix(3 << 14);
  msix->notify(0);
  msix->notify(1);
  EXPECT_TRUE(msi.take().empty());
  set_msix(1 << 15);
  EXPECT_EQ(msi.take().size(), 2u);
}

TEST_F(PciTest, ports_and_ecam_reach_the_same_registers) {
  auto& ports = bus.config_ports();
  ports.io_write(0, 4, 0x8000'0800);
  EXPECT_EQ(ports.io_read(4, 2), 0x1af4u);
  EXPECT_EQ(ports.io_read(6, 2), 0x1041u);
  EXPECT_EQ(bus.ecam().io_read(1 << 15, 4), 0x1041'1af4u);
  EXPECT_EQ(bus.ecam().io_read(0, 4), 0x0008'1b36u);
  EXPECT_EQ(bus.ecam().io_read(2 << 15, 4), ~uint64_t{0}) << "an empty slot";
  EXPECT_EQ(bus.ecam().io_read(1 << 15 | 1 << 12, 4), ~uint64_t{0}) << "function 1";
  ports.io_write(0, 4, 0x0000'0800);
  EXPECT_EQ(ports.io_read(4, 4), ~uint64_t{0}) << "not enabled";
}

TEST_F(PciTest, a_taken_slot_is_refused_by_name) {
  PciFunction other("other", kIdentity, mmio);
  auto result = bus.add(other, 1);
  ASSERT_FALSE(result);
  EXPECT_NE(result.error().message().find("'nic'"), std::string::npos);
  EXPECT_FALSE(bus.add(other, 32));
}

TEST_F(PciTest, a_second_load_of_the_same_state_moves_no_bar) {
  enable_memory();
  set_vector(1, 0x31, 0);
  set_msix(1 << 15);
  vmstate::Writer writer;
  function.save(writer);

  bus::IoBus other_mmio;
  Listener other_listener;
  PciFunction other("nic", kIdentity, other_mmio);
  other.add_bar(0, 0x4000, scratch, &other_listener);
  Msix& other_msix = other.add_msix(1, 3, msi);
  for (int i = 0; i < 2; ++i) {
    vmstate::Reader reader(writer.bytes(), {});
    ASSERT_TRUE(other.load(reader));
  }
  EXPECT_EQ(other_listener.events, (std::vector<std::string>{"+3221225472"}));
  EXPECT_EQ(other_mmio.read(kWindow.base + 8, 4), 8u);
  other_msix.notify(1);
  EXPECT_EQ(msi.take().size(), 1u);
}

TEST_F(PciTest, the_state_of_another_device_is_refused) {
  vmstate::Writer writer;
  function.save(writer);
  auto identity = kIdentity;
  identity.device = 0x1042;
  PciFunction other("disk", identity, mmio);
  vmstate::Reader reader(writer.bytes(), {});
  auto result = other.load(reader);
  ASSERT_FALSE(result);
  EXPECT_NE(result.error().message().find("disk"), std::string::npos);
}

}  // namespace
}  // namespace pagurus::pci
