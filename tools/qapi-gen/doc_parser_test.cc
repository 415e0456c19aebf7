#include "doc_parser.h"

#include <gtest/gtest.h>

#include "parser.h"

namespace pagurus::qapi_gen {
namespace {

using Kind = DocSection::Kind;

class DocParserTest : public testing::Test {
 protected:
  // The only comment of a text.
  const Doc& doc_of(const std::string& text) {
    auto parsed = parse("lamp.json", Dialect::kQemu, MemoryReader(MemoryReader::Files{{"lamp.json", text}}));
    EXPECT_TRUE(parsed.has_value()) << parsed.error().text();
    parsed_ = std::move(*parsed);
    EXPECT_EQ(parsed_.docs.size(), 1u);
    return *parsed_.docs.front();
  }

  // `body` is put into a definition's comment.
  const Doc& definition_doc(const std::string& body) {
    return doc_of("##\n# @Lamp:\n" + body + "##\n{ 'struct': 'Lamp', 'data': {} }\n");
  }

  Parsed parsed_;
};

TEST_F(DocParserTest, free_form_is_one_section) {
  const Doc& doc = doc_of("\n##\n# = Lamps\n#\n#   They give light.\n##\n");
  EXPECT_TRUE(doc.free_form());
  EXPECT_EQ(doc.at.line, 2);
  ASSERT_EQ(doc.sections.size(), 1u);
  EXPECT_EQ(doc.sections[0].kind, Kind::kPlain);
  EXPECT_EQ(doc.sections[0].text, "= Lamps\n\n  They give light.");
  EXPECT_EQ(doc.sections[0].at.line, 3);
}

TEST_F(DocParserTest, sections_stay_in_order) {
  const Doc& doc = definition_doc(
      "#\n# Gives light.\n#\n# @watts: power\n#\n# Features:\n#\n# @dim: half\n#\n# Since: 1.0\n#\n# More.\n#\n# TODO: "
      "less\n");
  EXPECT_EQ(doc.symbol, "Lamp");
  ASSERT_EQ(doc.sections.size(), 6u);
  const Kind kinds[] = {Kind::kPlain, Kind::kMember, Kind::kFeature, Kind::kSince, Kind::kPlain, Kind::kTodo};
  const char* texts[] = {"Gives light.", "power", "half", "1.0", "More.", "less"};
  const int lines[] = {4, 6, 10, 12, 14, 16};
  for (size_t i = 0; i < doc.sections.size(); ++i) {
    EXPECT_EQ(doc.sections[i].kind, kinds[i]) << i;
    EXPECT_EQ(doc.sections[i].text, texts[i]) << i;
    EXPECT_EQ(doc.sections[i].at.line, lines[i]) << i;
  }
  EXPECT_EQ(doc.find(Kind::kMember, "watts"), &doc.sections[1]);
  EXPECT_EQ(doc.find(Kind::kFeature, "watts"), nullptr);
  EXPECT_EQ(doc.find(Kind::kSince), &doc.sections[3]);
  EXPECT_EQ(doc.find(Kind::kReturns), nullptr);
}

TEST_F(DocParserTest, introduction_is_there_without_text) {
  const Doc& doc = definition_doc("# @watts: power\n");
  ASSERT_EQ(doc.sections.size(), 2u);
  EXPECT_EQ(doc.sections[0].kind, Kind::kPlain);
  EXPECT_EQ(doc.sections[0].text, "");
}

TEST_F(DocParserTest, paragraphs_are_joined_by_blank_lines) {
  EXPECT_EQ(definition_doc("#\n#\n# One\n# two.\n#\n#\n# Three:\n#\n#  - four\n").sections[0].text,
            "One\ntwo.\n\nThree:\n\n - four");
}

TEST_F(DocParserTest, common_indentation_is_taken_away) {
  const Doc& doc =
      definition_doc("#\n# @watts: power\n#     in W,\n#\n#       - 40\n#     or more\n# @volts:\n#   tension\n");
  EXPECT_EQ(doc.find(Kind::kMember, "watts")->text, "power\nin W,\n\n  - 40\nor more");
  EXPECT_EQ(doc.find(Kind::kMember, "volts")->text, "tension");
}

TEST_F(DocParserTest, text_may_follow_a_blank_line) {
  EXPECT_EQ(definition_doc("#\n# @watts: power\n#\n#     or so\n#\n").find(Kind::kMember, "watts")->text,
            "power\n\nor so");
}

TEST_F(DocParserTest, literal_text_keeps_its_form) {
  EXPECT_EQ(definition_doc("#\n# .. qmp-example::\n#\n#    -> { }\n#      One. Two\n").sections[0].text,
            ".. qmp-example::\n\n   -> { }\n     One. Two");
}

TEST_F(DocParserTest, only_the_comment_before_a_definition_is_its_own) {
  auto parsed =
      parse("lamp.json", Dialect::kQemu,
            MemoryReader(MemoryReader::Files{{"lamp.json",
                                              "##\n# Lamps.\n##\n##\n# @A:\n##\n{ 'struct': 'A', 'data': {} }\n"
                                              "{ 'struct': 'B', 'data': {} }\n"}}));
  ASSERT_TRUE(parsed.has_value()) << parsed.error().text();
  ASSERT_EQ(parsed->docs.size(), 2u);
  ASSERT_EQ(parsed->expressions.size(), 2u);
  EXPECT_EQ(parsed->expressions[0].doc, parsed->docs[1].get());
  EXPECT_EQ(parsed->expressions[1].doc, nullptr);
}

}  // namespace
}  // namespace pagurus::qapi_gen
