// From a file's text to tokens.
//
// Strings are in single quotes, of printable ASCII characters, and know one escape, `\\`.  A comment reaches
// from '#' to the end of its line; one that begins with "##" opens documentation and is never skipped.
#pragma once

#include <string>
#include <string_view>

#include "source.h"

namespace pagurus::qapi_gen {

struct Token {
  enum class Kind : char {
    kOpenBrace = '{',
    kCloseBrace = '}',
    kOpenBracket = '[',
    kCloseBracket = ']',
    kColon = ':',
    kComma = ',',
    kString = '\'',
    kTrue = 't',
    kFalse = 'f',
    kComment = '#',
    kEnd = 'e',
  };
  Kind kind = Kind::kEnd;
  Position at;
  std::string string;        // of a string, without quotes and escapes
  std::string_view comment;  // with its '#', without the newline
};

// Holds one token, the current one.  The first is there after advance().
class Lexer {
 public:
  // The text is valid UTF-8 and ends with a newline; the file outlives the lexer.
  explicit Lexer(const SourceFile& file) : file_(file), text_(file.text) {}

  const Token& token() const { return token_; }
  bool at(Token::Kind kind) const { return token_.kind == kind; }
  // Of the current line.
  Position line() const { return {.file = &file_, .line = line_, .column = 0}; }

  enum class Comments { kSkip, kReturn };
  Checked<> advance(Comments comments = Comments::kSkip);

  // About the current token.
  std::unexpected<Diagnostic> refuse(std::string message) const;
  // About a character of the current line, counted from 0.
  std::unexpected<Diagnostic> refuse_at(size_t character, std::string message) const;

 private:
  Checked<bool> read_token(Comments comments);
  Checked<> read_string();
  bool read_word(std::string_view word, Token::Kind kind);
  std::unexpected<Diagnostic> refuse_stray() const;
  void start_token();

  const SourceFile& file_;
  std::string_view text_;
  Token token_;
  size_t cursor_ = 0;      // of the next character
  size_t start_ = 0;       // of the current token
  size_t line_start_ = 0;  // of the current line
  int line_ = 1;
  // Columns are counted from token to token, so that a file of one long line costs no more than others.
  size_t counted_ = 0;
  int column_ = 1;
};

}  // namespace pagurus::qapi_gen
