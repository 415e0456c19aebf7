#include "qapi/options.h"

#include <gtest/gtest.h>

namespace pagurus::qapi {
namespace {

TEST(Options, parses_implied_key_values_and_escaped_commas) {
  auto options = *Options::parse("tap,id=n0,script=a,,b", "type", "-netdev");
  EXPECT_EQ(*options.take_string("type"), "tap");
  EXPECT_EQ(*options.take_string("script"), "a,b");
  EXPECT_EQ(*options.take_string("missing"), std::nullopt);
  auto rest = options.finish();
  ASSERT_FALSE(rest.has_value());
  EXPECT_EQ(rest.error().message(), "-netdev: unknown option 'id'");
}

TEST(Options, a_key_given_twice_is_refused) {
  auto options = Options::parse("tap,id=a,id=b", "type", "-netdev");
  ASSERT_FALSE(options.has_value());
  EXPECT_EQ(options.error().message(), "-netdev: option 'id' is given twice");
}

TEST(Options, a_bare_word_is_refused) {
  EXPECT_FALSE(Options::parse("tap,vhost", "type", "-netdev").has_value());
  EXPECT_FALSE(Options::parse("tap", "", "-netdev").has_value());
  EXPECT_FALSE(Options::parse("", "", "-netdev").has_value());
  EXPECT_FALSE(Options::parse("=x", "type", "-netdev").has_value());
}

TEST(Options, sizes_take_suffixes_and_refuse_overflow) {
  EXPECT_EQ(*parse_size("256M", 1), 256ull << 20);
  EXPECT_EQ(*parse_size("256", 1ull << 20), 256ull << 20);
  EXPECT_EQ(*parse_size("0x10k", 1), 16384u);
  for (const char* bad : {"", "M", "-1", "1.5G", "99999999999999999999", "99999999999T", "1Q"}) {
    EXPECT_FALSE(parse_size(bad, 1).has_value()) << bad;
  }
}

TEST(Options, booleans_and_numbers_are_checked) {
  auto options = *Options::parse("a=on,b=off,c=maybe,d=9,e=10", "", "-device");
  EXPECT_EQ(*options.take_bool("a"), true);
  EXPECT_EQ(*options.take_bool("b"), false);
  EXPECT_FALSE(options.take_bool("c").has_value());
  EXPECT_EQ(*options.take_uint("d", 1, 9), 9u);
  EXPECT_FALSE(options.take_uint("e", 1, 9).has_value());
  EXPECT_TRUE(options.finish().has_value());
}

}  // namespace
}  // namespace pagurus::qapi
