#include "doc_text.h"

#include <gtest/gtest.h>

namespace pagurus::qapi_gen {
namespace {

std::string first(std::string_view text) {
  Doc doc;
  doc.symbol = "X";
  doc.sections.push_back({.kind = DocSection::Kind::kPlain, .name = {}, .at = {}, .text = std::string(text)});
  return first_sentence(&doc);
}

TEST(DocText, the_first_sentence_ends_before_two_blanks_or_the_next_line) {
  EXPECT_EQ(first("One thing.  Another."), "One thing.");
  EXPECT_EQ(first("One thing\nin two lines.\nAnother."), "One thing in two lines.");
  EXPECT_EQ(first("Versions, as in 1.2, e.g. here.  Another."), "Versions, as in 1.2, e.g. here.");
  EXPECT_EQ(first("Names, e.g.\nthis one.  Another."), "Names, e.g. this one.");
  EXPECT_EQ(first("A name.  ``no`` means none."), "A name.");
  EXPECT_EQ(first("\nNo full stop\n\nAnother paragraph."), "No full stop");
  EXPECT_EQ(first(""), "");
  EXPECT_EQ(first_sentence(nullptr), "");
}

TEST(DocText, markup_is_left_out) {
  EXPECT_EQ(plain_text("what ``-netdev tap`` and `cont` do with @script"), "what -netdev tap and cont do with script");
  EXPECT_EQ(plain_text("mail@example"), "mail@example");
}

TEST(DocText, long_lines_are_wrapped) {
  EXPECT_EQ(wrapped("aa bb cc dd", "// ", 8), "// aa bb\n// cc dd\n");
  EXPECT_EQ(wrapped("aaaaaaaaaaaa b", "// ", 8), "// aaaaaaaaaaaa\n// b\n");
  EXPECT_EQ(wrapped("", "// ", 8), "");
}

}  // namespace
}  // namespace pagurus::qapi_gen
