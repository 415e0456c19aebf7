#include "lexer.h"

#include <gtest/gtest.h>

#include <vector>

namespace pagurus::qapi_gen {
namespace {

using Kind = Token::Kind;

class LexerTest : public testing::Test {
 protected:
  // All tokens but the end.
  std::vector<Token> tokens(std::string text, Lexer::Comments comments = Lexer::Comments::kSkip) {
    file_ = SourceFile::create("lamp.json", std::move(text));
    Lexer lexer(*file_);
    std::vector<Token> result;
    while (true) {
      const auto done = lexer.advance(comments);
      if (!done) {
        ADD_FAILURE() << done.error().text();
        return result;
      }
      if (lexer.at(Kind::kEnd)) return result;
      result.push_back(lexer.token());
    }
  }

  std::string refusal(std::string text) {
    file_ = SourceFile::create("lamp.json", std::move(text));
    Lexer lexer(*file_);
    while (true) {
      const auto done = lexer.advance();
      if (!done) return done.error().text();
      if (lexer.at(Kind::kEnd)) return {};
    }
  }

  std::shared_ptr<SourceFile> file_;
};

TEST_F(LexerTest, every_kind_of_token) {
  std::vector<Kind> kinds;
  for (const Token& token : tokens("{}[]:,'a'true false\n")) kinds.push_back(token.kind);
  EXPECT_EQ(kinds, (std::vector{Kind::kOpenBrace, Kind::kCloseBrace, Kind::kOpenBracket, Kind::kCloseBracket,
                                Kind::kColon, Kind::kComma, Kind::kString, Kind::kTrue, Kind::kFalse}));
}

TEST_F(LexerTest, strings_lose_quotes_and_escapes) {
  const auto found = tokens(R"('a b#"' 'c\\d' '')"
                            "\n");
  ASSERT_EQ(found.size(), 3u);
  EXPECT_EQ(found[0].string, "a b#\"");
  EXPECT_EQ(found[1].string, "c\\d");
  EXPECT_EQ(found[2].string, "");
}

TEST_F(LexerTest, tokens_know_line_and_column) {
  const auto found = tokens("{\n\n  'a' :# x\n\t]\n");
  ASSERT_EQ(found.size(), 4u);
  EXPECT_EQ(found[0].at.line, 1);
  EXPECT_EQ(found[0].at.column, 1);
  EXPECT_EQ(found[1].at.line, 3);
  EXPECT_EQ(found[1].at.column, 3);
  EXPECT_EQ(found[2].at.column, 7);
  EXPECT_EQ(found[3].at.line, 4);
  EXPECT_EQ(found[3].at.column, 1);
}

TEST_F(LexerTest, columns_count_characters_not_bytes) {
  const auto found = tokens("\u00a0\u2003\u3000{\n");
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].at.column, 4);
}

TEST_F(LexerTest, documentation_is_a_token_and_other_comments_if_asked_for) {
  EXPECT_EQ(tokens("# a\n## b\n#c\n").size(), 1u);
  const auto all = tokens("# a\n## b\n#c\n", Lexer::Comments::kReturn);
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[0].comment, "# a");
  EXPECT_EQ(all[1].comment, "## b");
  EXPECT_EQ(all[2].comment, "#c");
}

TEST_F(LexerTest, mistakes_point_to_where_they_begin) {
  EXPECT_TRUE(refusal("{ 'abc\n").starts_with("lamp.json:1:3: "));
  EXPECT_TRUE(refusal("\n 'a\\n'\n").starts_with("lamp.json:2:2: "));
  EXPECT_TRUE(refusal("'\u00e4'\n").starts_with("lamp.json:1:1: "));
  EXPECT_TRUE(refusal("'\\\n").starts_with("lamp.json:1:1: "));
  EXPECT_TRUE(refusal("true tru\n").starts_with("lamp.json:1:6: "));
}

TEST_F(LexerTest, messages_show_what_a_terminal_would_not) {
  EXPECT_NE(refusal("\x1b[31m\n").find("stray '\\u001b'"), std::string::npos);
  EXPECT_NE(refusal("a\x7f\n").find("stray 'a\\u007f'"), std::string::npos);
  EXPECT_NE(refusal("'\x07'\n").find("funny character '\\u0007'"), std::string::npos);
}

TEST_F(LexerTest, a_long_word_is_not_repeated_in_full) {
  EXPECT_LT(refusal(std::string(1 << 20, 'x') + "\n").size(), 200u);
}

}  // namespace
}  // namespace pagurus::qapi_gen
