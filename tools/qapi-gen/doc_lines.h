// The lines of one documentation comment, each checked for its form.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "lexer.h"

namespace pagurus::qapi_gen {

class DocLines {
 public:
  // The lexer's token is the line that opens the comment.  It outlives this.
  explicit DocLines(Lexer& lexer) : lexer_(lexer) {}

  // Goes to the next line.
  Checked<> advance();
  // Goes to the next line with text, or to the end.
  Checked<> skip_blank();
  // Without "# " and trailing space; nothing at the comment's end.
  const std::optional<std::string_view>& line() const { return line_; }
  bool at_end() const { return !line_; }
  bool at_blank() const { return line_ && line_->empty(); }
  // Of the current line.
  Position position() const { return lexer_.line(); }
  std::unexpected<Diagnostic> refuse(std::string message) const { return lexer_.refuse(std::move(message)); }

 private:
  Checked<> check_form();
  void follow_literal_text();

  Lexer& lexer_;
  std::optional<std::string_view> line_;
  // Text under "::" may look as it likes, as long as it is indented like its first line.
  bool literal_ = false;
  size_t literal_indentation_ = 0;  // in characters; 0: not known yet
};

}  // namespace pagurus::qapi_gen
