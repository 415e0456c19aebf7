#include "doc_lines.h"

#include <fmt/format.h>

#include "base/result.h"
#include "doc_format.h"
#include "unicode.h"

namespace pagurus::qapi_gen {

Checked<> DocLines::advance() {
  TRY(lexer_.advance(Lexer::Comments::kReturn));
  if (!lexer_.at(Token::Kind::kComment)) return refuse("the documentation comment must end with a line '##'");
  const std::string_view comment = lexer_.token().comment;
  if (comment.starts_with("##")) {
    if (comment != "##") return refuse("junk after '##' at the end of the documentation comment");
    line_ = std::nullopt;
    return {};
  }
  if (comment == "#") {
    line_ = std::string_view();
    return {};
  }
  if (comment[1] != ' ') return refuse("missing space after '#' in documentation");
  line_ = without_trailing_space(comment.substr(2));
  follow_literal_text();
  if (!literal_) TRY(check_form());
  return {};
}

Checked<> DocLines::skip_blank() {
  while (at_blank()) TRY(advance());
  return {};
}

void DocLines::follow_literal_text() {
  if (starts_literal_text(*line_)) {
    literal_ = true;
    literal_indentation_ = 0;
    return;
  }
  if (!literal_ || line_->empty()) return;
  const size_t indented = indentation(*line_).characters;
  if (literal_indentation_ == 0) {
    literal_indentation_ = indented;
  } else if (indented < literal_indentation_) {
    literal_ = false;
  }
}

Checked<> DocLines::check_form() {
  if (is_too_long(*line_)) {
    return refuse(fmt::format("the documentation line has {} characters; {} are allowed", character_count(*line_) + 2,
                              kMaxDocLine));
  }
  // Reported where the text would be if its '#' were in the first column, which is where it belongs.
  if (const auto stop = find_single_space(*line_)) {
    return lexer_.refuse_at(2 + *stop + 1, "two spaces are needed between sentences");
  }
  return {};
}

}  // namespace pagurus::qapi_gen
