#include "doc_format.h"

#include <gtest/gtest.h>

#include <string>

namespace pagurus::qapi_gen {
namespace {

TEST(DocFormat, lines_are_measured_in_characters) {
  EXPECT_FALSE(is_too_long(std::string(68, 'x')));
  EXPECT_TRUE(is_too_long(std::string(69, 'x')));
  std::string umlauts;
  for (int i = 0; i < 68; ++i) umlauts += "\u00e4";
  EXPECT_FALSE(is_too_long(umlauts));
  EXPECT_TRUE(is_too_long(umlauts + "."));
}

TEST(DocFormat, an_address_by_itself_may_be_long) {
  const std::string path(100, 'x');
  EXPECT_FALSE(is_too_long("http://" + path));
  EXPECT_FALSE(is_too_long("    https://" + path));
  EXPECT_FALSE(is_too_long("ftp://" + path));
  EXPECT_TRUE(is_too_long("gopher://" + path));
  EXPECT_TRUE(is_too_long("see http://" + path));
  EXPECT_TRUE(is_too_long("http://" + path + " for it"));
}

TEST(DocFormat, sentences_are_separated_by_two_spaces) {
  EXPECT_EQ(find_single_space("One. Two"), 3u);
  EXPECT_EQ(find_single_space("One! 2"), 3u);
  EXPECT_EQ(find_single_space("One? (Two)"), 3u);
  EXPECT_EQ(find_single_space("\u00e4\u00e4. Two"), 2u);
  EXPECT_EQ(find_single_space("One.  Two. Three"), 9u);
  EXPECT_FALSE(find_single_space("One.  Two.   Three"));
  EXPECT_FALSE(find_single_space("One. two"));
  EXPECT_FALSE(find_single_space("One."));
  EXPECT_FALSE(find_single_space("One. "));
}

TEST(DocFormat, examples_and_list_numbers_end_no_sentence) {
  EXPECT_FALSE(find_single_space("Lamps, e.g. Bulbs"));
  EXPECT_FALSE(find_single_space("e.g. 1"));
  EXPECT_EQ(find_single_space("Lamps, e.g. Bulbs. More"), 17u);
  EXPECT_EQ(find_single_space("cafe.g. Bulbs"), 6u);
  EXPECT_EQ(find_single_space("\u00e4e.g. Bulbs"), 4u);
  EXPECT_FALSE(find_single_space("1. Buy"));
  EXPECT_FALSE(find_single_space("   1. Buy"));
  EXPECT_EQ(find_single_space("1. Buy. Go"), 6u);
  EXPECT_EQ(find_single_space("10. Buy"), 2u);
  EXPECT_EQ(find_single_space("see 1. Buy"), 5u);
}

TEST(DocFormat, literal_text_starts_with_two_colons_or_an_example) {
  EXPECT_TRUE(starts_literal_text("::"));
  EXPECT_TRUE(starts_literal_text("    ::"));
  EXPECT_TRUE(starts_literal_text(".. qmp-example::"));
  EXPECT_TRUE(starts_literal_text("..   qmp-example  ::"));
  EXPECT_FALSE(starts_literal_text("Like this::"));
  EXPECT_FALSE(starts_literal_text("..qmp-example::"));
  EXPECT_FALSE(starts_literal_text(" .. qmp-example::"));
  EXPECT_FALSE(starts_literal_text(".. code-block::"));
  EXPECT_FALSE(starts_literal_text(".. qmp-example:: Text"));
}

}  // namespace
}  // namespace pagurus::qapi_gen
