#include "markup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace pagurus::qapi_gen {
namespace {

std::string shown(const std::vector<Span>& spans) {
  std::string text;
  for (const Span& span : spans) {
    const char* marks[] = {"", "L", "R", "M"};
    text += std::string(marks[static_cast<size_t>(span.kind)]) + "[" + span.text + "]";
  }
  return text;
}

TEST(Markup, marks_in_text_are_told_apart) {
  EXPECT_EQ(shown(parse_spans("See `migrate` for ``uri`` in @a-b.")), "[See ]R[migrate][ for ]L[uri][ in ]M[a-b][.]");
  EXPECT_EQ(shown(parse_spans("a@b.c is `open, and @ alone")), "[a]M[b][.c is `open, and @ alone]");
  EXPECT_EQ(shown(parse_spans("")), "");
}

TEST(Markup, paragraphs_are_joined_and_lists_are_split) {
  auto blocks = parse_markup("One\ntwo.\n\n- first\n  goes on\n- second\n\n12. third\n");
  ASSERT_EQ(blocks.size(), 4u);
  EXPECT_EQ(shown(blocks[0].spans), "[One two.]");
  EXPECT_EQ(blocks[1].kind, Block::Kind::kItem);
  EXPECT_EQ(shown(blocks[1].spans), "[first goes on]");
  EXPECT_EQ(blocks[3].marker, "12.");
}

TEST(Markup, examples_and_literal_blocks_keep_their_lines) {
  auto blocks = parse_markup(".. qmp-example::\n   :title: x\n\n    -> {\n         1 }\n\n    <- {}\n\nAnd so::\n\n  a\n    b\nc\n");
  ASSERT_EQ(blocks.size(), 4u);
  EXPECT_EQ(blocks[0].kind, Block::Kind::kExample);
  EXPECT_EQ(blocks[0].lines, "-> {\n     1 }\n\n<- {}\n");
  EXPECT_EQ(shown(blocks[1].spans), "[And so:]");
  EXPECT_EQ(blocks[2].kind, Block::Kind::kLiteral);
  EXPECT_EQ(blocks[2].lines, "a\n  b\n");
  EXPECT_EQ(shown(blocks[3].spans), "[c]");
}

TEST(Markup, a_heading_stands_between_rules) {
  auto blocks = parse_markup("*****\nTitle\n*****\n\nText.");
  ASSERT_EQ(blocks.size(), 2u);
  EXPECT_EQ(blocks[0].kind, Block::Kind::kHeading);
  EXPECT_EQ(shown(blocks[0].spans), "[Title]");
}

}  // namespace
}  // namespace pagurus::qapi_gen
