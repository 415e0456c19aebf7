#include "ctl/shell_words.h"

#include <gtest/gtest.h>

namespace pagurus::ctl {
namespace {

using Words = std::vector<std::string>;

TEST(ShellWords, blanks_separate_and_quotes_join) {
  EXPECT_EQ(split_words("  a b=c\t'd e' \"f \\\" g\" h\\ i ").words, (Words{"a", "b=c", "d e", "f \" g", "h i"}));
  EXPECT_EQ(split_words("a=''").words, Words{"a="});
  EXPECT_EQ(split_words("").words, Words());
}

TEST(ShellWords, json_needs_no_quotes) {
  EXPECT_EQ(split_words(R"(x {"a": "} \" {", "b": [1, 2]} y)").words,
            (Words{"x", R"({"a": "} \" {", "b": [1, 2]})", "y"}));
  EXPECT_EQ(split_words(R"(x a=[{"b": 'c'}] d={"e": 1})").words, (Words{"x", R"(a=[{"b": 'c'}])", R"(d={"e": 1})"}));
  EXPECT_EQ(split_words("a=b[c d=e=[f g").words, (Words{"a=b[c", "d=e=[f", "g"}));
}

TEST(ShellWords, an_open_end_is_told) {
  EXPECT_EQ(split_words("a 'b c").unclosed, '\'');
  EXPECT_EQ(split_words("a \"b").unclosed, '"');
  EXPECT_EQ(split_words("a\\").unclosed, '\\');
  EXPECT_EQ(split_words("a b=[{}").unclosed, '[');
  EXPECT_EQ(split_words("{\"a\\").unclosed, '{');
  EXPECT_EQ(split_words("a b").unclosed, '\0');
}

TEST(ShellWords, the_cursor_is_in_the_last_word_or_behind_it) {
  EXPECT_TRUE(split_words("a bc").in_last);
  EXPECT_EQ(split_words("a bc").last_begin, 2U);
  EXPECT_FALSE(split_words("a bc ").in_last);
  EXPECT_FALSE(split_words("").in_last);
}

}  // namespace
}  // namespace pagurus::ctl
