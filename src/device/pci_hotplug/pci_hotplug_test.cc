#include "device/pci_hotplug/pci_hotplug.h"

#include <gtest/gtest.h>

namespace pagurus::device {
namespace {

struct Line : bus::EdgeLine {
  void pulse() override { ++pulses; }
  int pulses = 0;
};

struct Sink : EjectSink {
  void guest_ejected() override { ++ejections; }
  int ejections = 0;
};

struct PciHotplugTest : testing::Test {
  uint64_t read(uint64_t offset, unsigned size = 4) { return hotplug.io_read(offset, size); }
  void eject(uint32_t slots) { hotplug.io_write(PciHotplug::kEjectRegister, 4, slots); }

  Line line;
  Sink sink;
  PciHotplug hotplug{sink, line};
};

TEST_F(PciHotplugTest, a_device_that_has_come_is_told_once) {
  hotplug.announce_up(3);
  hotplug.announce_up(31);
  EXPECT_EQ(line.pulses, 2);
  EXPECT_EQ(read(PciHotplug::kUpRegister), (1u << 3 | 1u << 31));
  EXPECT_EQ(read(PciHotplug::kUpRegister), 0u);
  EXPECT_EQ(read(PciHotplug::kDownRegister), 0u);
}

TEST_F(PciHotplugTest, a_device_that_is_to_go_is_told_until_it_is_ejected) {
  hotplug.request_down(4);
  EXPECT_EQ(line.pulses, 1);
  EXPECT_EQ(read(PciHotplug::kDownRegister), 1u << 4);
  EXPECT_EQ(read(PciHotplug::kDownRegister), 1u << 4);
  EXPECT_TRUE(hotplug.going_down(4));
  eject(1u << 4);
  EXPECT_EQ(sink.ejections, 1);
  EXPECT_EQ(read(PciHotplug::kDownRegister), 0u);
  EXPECT_TRUE(hotplug.going_down(4));
  EXPECT_TRUE(hotplug.any_ejected());
  EXPECT_EQ(hotplug.take_ejected(), 1u << 4);
  EXPECT_EQ(hotplug.take_ejected(), 0u);
  EXPECT_FALSE(hotplug.going_down(4));
}

TEST_F(PciHotplugTest, accesses_that_no_method_makes_do_nothing) {
  hotplug.announce_up(1);
  EXPECT_EQ(read(PciHotplug::kUpRegister, 1), ~uint64_t{0});
  EXPECT_EQ(read(PciHotplug::kEjectRegister), 0u);
  hotplug.io_write(PciHotplug::kEjectRegister, 1, 2);
  hotplug.io_write(PciHotplug::kUpRegister, 4, 0);
  eject(0);
  EXPECT_EQ(sink.ejections, 0);
  EXPECT_EQ(read(PciHotplug::kUpRegister), 1u << 1);
}

TEST_F(PciHotplugTest, a_guest_that_ejects_and_ejects_calls_once) {
  for (unsigned i = 0; i < 100; ++i) eject(1u << i % 32);
  EXPECT_EQ(sink.ejections, 1);
  EXPECT_EQ(hotplug.take_ejected(), ~uint32_t{0});
  eject(1);
  EXPECT_EQ(sink.ejections, 2);
}

TEST_F(PciHotplugTest, a_reset_completes_what_was_asked_for) {
  hotplug.announce_up(1);
  hotplug.request_down(2);
  hotplug.reset();
  EXPECT_EQ(read(PciHotplug::kUpRegister), 0u);
  EXPECT_EQ(read(PciHotplug::kDownRegister), 0u);
  EXPECT_EQ(hotplug.take_ejected(), 1u << 2);
}

TEST_F(PciHotplugTest, state_moves_in_the_middle_of_a_plug_and_an_unplug) {
  hotplug.announce_up(1);
  hotplug.request_down(2);
  eject(1u << 3);
  vmstate::Writer writer;
  hotplug.save(writer);
  PciHotplug other(sink, line);
  vmstate::Reader reader(writer.bytes(), {});
  ASSERT_TRUE(other.load(reader));
  EXPECT_EQ(other.io_read(PciHotplug::kUpRegister, 4), 1u << 1);
  EXPECT_EQ(other.io_read(PciHotplug::kDownRegister, 4), 1u << 2);
  EXPECT_EQ(other.take_ejected(), 1u << 3);
}

}  // namespace
}  // namespace pagurus::device
