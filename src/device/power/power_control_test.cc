#include "device/power/power_control.h"

#include <gtest/gtest.h>

namespace pagurus::device {
namespace {

struct Line : bus::EdgeLine {
  void pulse() override { ++pulses; }
  int pulses = 0;
};

struct Sink : PowerSink {
  void guest_power_off() override { ++offs; }
  void guest_reset() override { ++resets; }
  int offs = 0;
  int resets = 0;
};

struct PowerControlTest : testing::Test {
  Line line;
  Sink sink;
  PowerControl power{sink, line};
};

TEST_F(PowerControlTest, only_s5_with_enable_powers_off) {
  auto write = [&](uint8_t value) { power.ports().io_write(PowerControl::kSleepControlRegister, 1, value); };
  write(5 << 2);
  write(3 << 2 | 1 << 5);
  EXPECT_EQ(sink.offs, 0);
  write(5 << 2 | 1 << 5);
  EXPECT_EQ(sink.offs, 1);
  EXPECT_EQ(sink.resets, 0);
}

TEST_F(PowerControlTest, reset_by_register_and_by_keyboard_controller) {
  power.ports().io_write(PowerControl::kResetRegister, 1, 0);
  power.keyboard_controller().io_write(0, 1, 0x60);
  EXPECT_EQ(sink.resets, 0);
  power.ports().io_write(PowerControl::kResetRegister, 1, PowerControl::kResetValue);
  EXPECT_EQ(sink.resets, 1);
  power.keyboard_controller().io_write(0, 1, 0xfe);
  EXPECT_EQ(sink.resets, 2);
  EXPECT_EQ(sink.offs, 0);
}

TEST_F(PowerControlTest, keyboard_controller_never_says_busy) {
  EXPECT_EQ(power.keyboard_controller().io_read(0, 1) & 2, 0u);
}

TEST_F(PowerControlTest, button_pulses_the_event_line) {
  power.press_power_button();
  EXPECT_EQ(line.pulses, 1);
}

TEST_F(PowerControlTest, state_survives_a_round_trip) {
  vmstate::Writer writer;
  vmstate::write_state(writer, PowerState{.sleep_status = 0x80});
  vmstate::Reader reader(writer.bytes(), {});
  ASSERT_TRUE(power.load(reader));
  EXPECT_EQ(power.ports().io_read(PowerControl::kSleepStatusRegister, 1), 0x80u);
  power.ports().io_write(PowerControl::kSleepStatusRegister, 1, 0x80);
  EXPECT_EQ(power.ports().io_read(PowerControl::kSleepStatusRegister, 1), 0u);
}

}  // namespace
}  // namespace pagurus::device
