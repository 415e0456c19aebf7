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
  auto blocks = parse_markup(
      ".. qmp-example::\n   :title: x\n\n    -> {\n         1 }\n\n    <- {}\n\nAnd so::\n\n  a\n    b\nc\n");
  ASSERT_EQ(blocks.size(), 5u);
  EXPECT_EQ(shown(blocks[0].spans), "[x]");
  blocks.erase(blocks.begin());
  EXPECT_EQ(blocks[0].kind, Block::Kind::kExample);
  EXPECT_EQ(blocks[0].lines, "-> {\n     1 }\n\n<- {}\n");
  EXPECT_EQ(shown(blocks[1].spans), "[And so:]");
  EXPECT_EQ(blocks[2].kind, Block::Kind::kLiteral);
  EXPECT_EQ(blocks[2].lines, "a\n  b\n");
  EXPECT_EQ(shown(blocks[3].spans), "[c]");
}

TEST(Markup, what_stands_further_in_belongs_to_the_item_above) {
  auto blocks =
      parse_markup("- one\n\n  more of it\n\n  12. inner\n\n      its code::\n\n        x\n- two\n\nNo item.\n");
  std::vector<std::pair<size_t, size_t>> places;
  for (const Block& block : blocks) places.emplace_back(block.depth, block.inset);
  // one, more of it, inner, its code, x, two, No item
  EXPECT_EQ(places, (std::vector<std::pair<size_t, size_t>>{{0, 0}, {1, 2}, {1, 2}, {2, 6}, {2, 6}, {0, 0}, {0, 0}}));
  blocks = parse_markup("- one::\n\n    x\n\n.. qmp-example::\n\n    y\n");
  ASSERT_EQ(blocks.size(), 3u);
  EXPECT_EQ(blocks[1].depth, 1u);
  EXPECT_EQ(blocks[2].depth, 0u);
}

TEST(Markup, notes_keep_their_words_and_comments_do_not) {
  auto blocks = parse_markup(".. note:: One\n   two.\n\n.. for readers\n   of the schema\n\nEnd.\n");
  ASSERT_EQ(blocks.size(), 3u);
  EXPECT_EQ(shown(blocks[0].spans), "[Note: One]");
  EXPECT_EQ(shown(blocks[1].spans), "[two.]");
  EXPECT_EQ(shown(blocks[2].spans), "[End.]");
}

TEST(Markup, a_heading_has_a_rule_below_it) {
  auto blocks = parse_markup("Title\n=====\n\nText\n==\n");
  ASSERT_EQ(blocks.size(), 2u);
  EXPECT_EQ(blocks[0].kind, Block::Kind::kHeading);
  EXPECT_EQ(shown(blocks[1].spans), "[Text ==]");
}

TEST(Markup, a_heading_stands_between_rules) {
  auto blocks = parse_markup("*****\nTitle\n*****\n\nText.");
  ASSERT_EQ(blocks.size(), 2u);
  EXPECT_EQ(blocks[0].kind, Block::Kind::kHeading);
  EXPECT_EQ(shown(blocks[0].spans), "[Title]");
}

}  // namespace
}  // namespace pagurus::qapi_gen
