#include "bus/io_bus.h"

#include <gtest/gtest.h>

namespace pagurus::bus {
namespace {

struct Echo : IoHandler {
  uint64_t io_read(uint64_t offset, unsigned) override { return offset; }
  void io_write(uint64_t offset, unsigned, uint64_t value) override { last = {offset, value}; }
  std::pair<uint64_t, uint64_t> last{};
};

TEST(IoBus, routes_by_address_with_the_offset) {
  IoBus bus;
  Echo a, b;
  ASSERT_TRUE(bus.map(0x100, 8, "a", a));
  ASSERT_TRUE(bus.map(0x108, 8, "b", b));
  EXPECT_EQ(bus.read(0x104, 4), 4u);
  bus.write(0x109, 1, 77);
  EXPECT_EQ(b.last, (std::pair<uint64_t, uint64_t>{1, 77}));
}

TEST(IoBus, an_access_nobody_answers_reads_all_ones) {
  IoBus bus;
  Echo a;
  ASSERT_TRUE(bus.map(0x100, 8, "a", a));
  EXPECT_EQ(bus.read(0x0, 4), ~uint64_t{0});
  EXPECT_EQ(bus.read(0x108, 1), ~uint64_t{0});
  EXPECT_EQ(bus.read(0x106, 4), ~uint64_t{0}) << "an access across the end";
}

TEST(IoBus, overlap_is_refused_by_name_from_both_sides) {
  IoBus bus;
  Echo a;
  ASSERT_TRUE(bus.map(0x100, 8, "a", a));
  for (uint64_t base : {0xf9u, 0x100u, 0x107u}) {
    auto result = bus.map(base, 8, "late", a);
    ASSERT_FALSE(result.has_value()) << base;
    EXPECT_NE(result.error().message().find("'a'"), std::string::npos);
  }
  bus.unmap(0x100);
  EXPECT_TRUE(bus.map(0x107, 8, "late", a));
}

}  // namespace
}  // namespace pagurus::bus
