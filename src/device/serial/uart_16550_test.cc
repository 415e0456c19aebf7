#include "device/serial/uart_16550.h"

#include <gtest/gtest.h>

#include <string>

namespace pagurus::device {
namespace {

struct Line : bus::EdgeLine {
  void pulse() override { ++pulses; }
  int pulses = 0;
};

// A host end that takes as many bytes as the test says.
struct Host : chardev::Backend {
  const std::string& id() const override { return name; }
  std::string_view kind() const override { return "test"; }
  bool pending() const override { return false; }
  Result<void> open() override { return {}; }
  void attach(chardev::Frontend* f) override { frontend = f; }
  size_t write(std::span<const uint8_t> bytes) override {
    size_t taken = std::min(bytes.size(), room);
    room -= taken;
    output.append(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(taken));
    return taken;
  }
  void want_input() override { ++wants; }
  Result<const vmstate::Description*> movable() const override { return fail("not in this test"); }
  void freeze() override {}
  Result<void> save(vmstate::Writer&) const override { return {}; }
  Result<void> adopt(vmstate::Reader&) override { return {}; }
  void thaw() override {}
  void release() override {}

  void type(std::string_view text) { frontend->receive({reinterpret_cast<const uint8_t*>(text.data()), text.size()}); }

  std::string name = "host";
  chardev::Frontend* frontend = nullptr;
  size_t room = SIZE_MAX;
  std::string output;
  int wants = 0;
};

struct UartTest : testing::Test {
  uint8_t in(unsigned offset) { return static_cast<uint8_t>(uart.io_read(offset, 1)); }
  void out(unsigned offset, uint8_t value) { uart.io_write(offset, 1, value); }
  void send(std::string_view text) {
    for (char c : text) out(0, static_cast<uint8_t>(c));
  }
  std::vector<uint8_t> saved() const {
    vmstate::Writer writer;
    uart.save(writer);
    return writer.bytes();
  }

  Host host;
  Line line;
  Uart16550 uart{host, line};
};

TEST_F(UartTest, linux_autoconfig_finds_a_16550a) {
  // What drivers/tty/serial/8250/8250_port.c checks, in its order.
  out(1, 0);
  EXPECT_EQ(in(1), 0);
  out(1, 0x0f);
  EXPECT_EQ(in(1), 0x0f);
  out(1, 0);
  out(4, 0x1a);  // loopback, OUT2, RTS
  EXPECT_EQ(in(6) & 0xf0, 0x90);
  out(4, 0);
  out(3, 0x80);
  EXPECT_NE(in(2), 0) << "an enhanced feature register would read 0";
  out(3, 0);
  out(2, 1);
  EXPECT_EQ(in(2) >> 6, 3) << "16550A, not 8250, 16450 or 16550";
  out(1, 0x40);
  EXPECT_EQ(in(1) & 0x40, 0) << "an XScale port would keep UUE";
  out(7, 0xa5);
  EXPECT_EQ(in(7), 0xa5);
}

TEST_F(UartTest, divisor_latch_hides_data_and_interrupt_enable) {
  out(3, 0x83);
  out(0, 1);
  out(1, 2);
  EXPECT_EQ(in(0), 1);
  EXPECT_EQ(in(1), 2);
  out(3, 0x03);
  EXPECT_EQ(in(1), 0);
  EXPECT_EQ(host.output, "");
}

TEST_F(UartTest, bytes_go_out_at_once_while_the_host_takes_them) {
  send("hello");
  EXPECT_EQ(host.output, "hello");
  EXPECT_EQ(in(5) & 0x60, 0x60);
}

TEST_F(UartTest, transmitter_interrupt_rises_on_enable_and_after_each_write) {
  out(1, 0x02);
  EXPECT_EQ(line.pulses, 1);
  EXPECT_EQ(in(2) & 0x0f, 0x02);
  EXPECT_EQ(in(2) & 0x0f, 0x01) << "reading IIR acknowledged it";
  out(0, 'a');
  EXPECT_EQ(line.pulses, 2);
  out(0, 'b');
  EXPECT_EQ(line.pulses, 3) << "a driver that never reads IIR gets its edges too";
}

TEST_F(UartTest, a_stalled_reader_makes_the_guest_wait_and_loses_nothing) {
  host.room = 2;
  out(1, 0x02);
  in(2);
  line.pulses = 0;
  send("abcd");
  EXPECT_EQ(host.output, "ab");
  EXPECT_EQ(in(5) & 0x60, 0) << "the transmitter is busy";
  EXPECT_EQ(in(2) & 0x0f, 0x01);
  host.room = SIZE_MAX;
  line.pulses = 0;
  uart.writable();
  EXPECT_EQ(host.output, "abcd");
  EXPECT_EQ(in(5) & 0x60, 0x60);
  EXPECT_EQ(line.pulses, 1);
}

TEST_F(UartTest, a_guest_that_ignores_a_stalled_reader_cannot_grow_us) {
  host.room = 0;
  for (size_t i = 0; i < UartState::kMaxUnsent + 1000; ++i) out(0, 'x');
  host.room = SIZE_MAX;
  uart.writable();
  EXPECT_EQ(host.output.size(), UartState::kMaxUnsent);
}

TEST_F(UartTest, received_bytes_interrupt_by_trigger_level_or_timeout) {
  out(2, 0x81);  // FIFOs on, trigger at 8
  out(1, 0x01);
  EXPECT_EQ(uart.can_receive(), 16u);
  host.type("abc");
  EXPECT_EQ(line.pulses, 1);
  EXPECT_EQ(in(2), 0xcc);
  host.type("defghij");
  EXPECT_EQ(in(2), 0xc4);
  EXPECT_EQ(in(5) & 1, 1);
  std::string read;
  while (in(5) & 1) read += static_cast<char>(in(0));
  EXPECT_EQ(read, "abcdefghij");
  EXPECT_EQ(in(2), 0xc1);
}

TEST_F(UartTest, a_full_fifo_stops_the_host_until_the_guest_reads) {
  out(2, 0x01);
  host.type("0123456789abcdef");
  EXPECT_EQ(uart.can_receive(), 0u);
  EXPECT_EQ(host.wants, 0);
  in(0);
  EXPECT_EQ(host.wants, 1);
  EXPECT_EQ(uart.can_receive(), 1u);
}

TEST_F(UartTest, loopback_keeps_bytes_inside_and_reports_overrun) {
  out(4, 0x10);
  out(0, 'a');
  out(0, 'b');
  EXPECT_EQ(host.output, "");
  EXPECT_EQ(in(5) & 0x03, 0x03) << "without FIFOs the second byte overruns";
  EXPECT_EQ(in(5) & 0x02, 0) << "reading LSR clears the error";
  EXPECT_EQ(in(0), 'a');
}

TEST_F(UartTest, state_carries_both_fifos_and_does_not_repeat_an_interrupt) {
  host.room = 0;
  out(2, 0x01);
  out(1, 0x03);
  send("out");
  host.type("in");
  auto bytes = saved();

  Host other_host;
  Line other_line;
  Uart16550 other(other_host, other_line);
  for (int rehearsal = 0; rehearsal < 2; ++rehearsal) {
    vmstate::Reader reader(bytes, {});
    auto loaded = other.load(reader);
    ASSERT_TRUE(loaded) << loaded.error().message();
  }
  EXPECT_EQ(other_line.pulses, 0);
  other.writable();
  EXPECT_EQ(other_host.output, "out");
  EXPECT_EQ(other.io_read(0, 1), uint64_t{'i'});
  EXPECT_EQ(other.io_read(0, 1), uint64_t{'n'});
}

TEST_F(UartTest, state_from_a_stranger_is_checked) {
  auto bytes = saved();
  for (size_t size = 0; size < bytes.size(); ++size) {
    vmstate::Reader reader(std::span<const uint8_t>(bytes).first(size), {});
    EXPECT_FALSE(uart.load(reader)) << size;
  }
  auto hostile = bytes;
  hostile[1] = 0xff;  // fifo-control
  vmstate::Reader reader(hostile, {});
  EXPECT_FALSE(uart.load(reader));
}

TEST_F(UartTest, reset_keeps_what_was_already_written) {
  host.room = 0;
  send("bye");
  out(3, 0x80);
  uart.reset();
  EXPECT_EQ(in(3), 0);
  host.room = SIZE_MAX;
  uart.writable();
  EXPECT_EQ(host.output, "bye");
}

}  // namespace
}  // namespace pagurus::device
