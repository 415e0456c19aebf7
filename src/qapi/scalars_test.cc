#include "qapi/scalars.h"

#include <gtest/gtest.h>

namespace pagurus::qapi {
namespace {

TEST(Scalars, booleans_are_words) {
  for (const char* text : {"on", "yes", "true", "y"}) EXPECT_EQ(bool_from_text(text), true) << text;
  for (const char* text : {"off", "no", "false", "n"}) EXPECT_EQ(bool_from_text(text), false) << text;
  for (const char* text : {"", "1", "0", "On", "maybe", "on "}) EXPECT_EQ(bool_from_text(text), std::nullopt) << text;
}

TEST(Scalars, whole_numbers_cover_both_ends) {
  EXPECT_EQ(whole_number_from_text("18446744073709551615")->magnitude, UINT64_MAX);
  EXPECT_EQ(whole_number_from_text("-9223372036854775808")->magnitude, uint64_t{1} << 63);
  EXPECT_TRUE(whole_number_from_text("-1")->negative);
  EXPECT_EQ(whole_number_from_text("0x1F")->magnitude, 31u);
  for (const char* text : {"", "-", "+1", "1.0", "1k", " 1", "0x", "--1", "18446744073709551616"})
    EXPECT_FALSE(whole_number_from_text(text).has_value()) << text;
}

TEST(Scalars, sizes_have_suffixes) {
  EXPECT_EQ(size_from_text("512"), 512u);
  EXPECT_EQ(size_from_text("64K"), 64u << 10);
  EXPECT_EQ(size_from_text("64k"), 64u << 10);
  EXPECT_EQ(size_from_text("3M"), 3u << 20);
  EXPECT_EQ(size_from_text("2G"), uint64_t{2} << 30);
  EXPECT_EQ(size_from_text("1T"), uint64_t{1} << 40);
  EXPECT_EQ(size_from_text("15E"), uint64_t{15} << 60);
  EXPECT_EQ(size_from_text("0x1b"), 0x1bu);
  EXPECT_EQ(size_from_text("7b"), 7u);
  for (const char* text : {"", "K", "16E", "-1", "1.5G", "2GB", "2 G", "0x", "1KK"})
    EXPECT_EQ(size_from_text(text), std::nullopt) << text;
}

TEST(Scalars, numbers_are_finite) {
  EXPECT_EQ(number_from_text("-2.5e3"), -2500.0);
  for (const char* text : {"", "inf", "nan", "1e999", "1.0x"}) EXPECT_EQ(number_from_text(text), std::nullopt) << text;
}

}  // namespace
}  // namespace pagurus::qapi
