#include "lexer.h"

#include <fmt/format.h>

#include "base/result.h"
#include "unicode.h"

namespace pagurus::qapi_gen {
namespace {

constexpr std::string_view kPunctuation = "{}[]:,";

// The column behind a character.  A tab does not go to the next stop; it puts the column back into the first
// eight, which is odd, but what the language's reference implementation prints and editors were taught.
int next_column(int column, char32_t code) { return code == '\t' ? (column + 7) % 8 + 1 : column + 1; }

int advanced_column(int column, std::string_view text) {
  while (!text.empty()) {
    const Character next = first_character(text);
    column = next_column(column, next.code);
    text.remove_prefix(next.bytes);
  }
  return column;
}

bool is_printable_ascii(char c) { return c >= ' ' && c <= '~'; }

// For messages: what a terminal might obey or hide is shown by its number.
std::string visible(std::string_view text) {
  std::string result;
  while (!text.empty()) {
    const Character next = first_character(text);
    const bool hidden = next.code < 0x20 || (next.code >= 0x7f && next.code < 0xa0) || next.code == 0xfeff ||
                        (next.code >= 0x2000 && next.code <= 0x206f);
    result +=
        hidden ? fmt::format("\\u{:04x}", static_cast<unsigned>(next.code)) : std::string(text.substr(0, next.bytes));
    text.remove_prefix(next.bytes);
  }
  return result;
}

// A word ends where a structural character, white space or a quote begins.
std::string_view stray_word(std::string_view text) {
  constexpr size_t kLongest = 60;
  size_t end = 0;
  while (end < text.size() && end < kLongest) {
    const Character next = first_character(text.substr(end));
    if (is_space(next.code) || text[end] == '\'' || kPunctuation.contains(text[end])) break;
    end += next.bytes;
  }
  return text.substr(0, end);
}

}  // namespace

Checked<> Lexer::advance(Comments comments) {
  token_.string.clear();
  while (!TRY(read_token(comments))) {
  }
  return {};
}

void Lexer::start_token() {
  if (counted_ < line_start_) {
    counted_ = line_start_;
    column_ = 1;
  }
  column_ = advanced_column(column_, text_.substr(counted_, start_ - counted_));
  counted_ = start_;
  token_.at = {.file = &file_, .line = line_, .column = column_};
}

// False: what was read is no token.
Checked<bool> Lexer::read_token(Comments comments) {
  start_ = cursor_;
  const char c = text_[start_];
  if (c == ' ') {
    ++cursor_;
    return false;
  }
  if (c == '\n' && cursor_ + 1 < text_.size()) {
    ++cursor_;
    ++line_;
    line_start_ = cursor_;
    return false;
  }
  if (c == '#') {
    cursor_ = text_.find('\n', start_);
    token_.comment = text_.substr(start_, cursor_ - start_);
    if (comments == Comments::kSkip && !token_.comment.starts_with("##")) return false;
    start_token();
    token_.kind = Token::Kind::kComment;
    return true;
  }
  start_token();
  if (c == '\n') {
    token_.kind = Token::Kind::kEnd;
    return true;
  }
  if (kPunctuation.contains(c)) {
    ++cursor_;
    token_.kind = static_cast<Token::Kind>(c);
    return true;
  }
  if (c == '\'') {
    TRY(read_string());
    return true;
  }
  // The end of a word does not matter: what follows is judged by itself.
  if (read_word("true", Token::Kind::kTrue) || read_word("false", Token::Kind::kFalse)) return true;
  const Character character = first_character(text_.substr(start_));
  if (!is_space(character.code)) return refuse_stray();
  cursor_ += character.bytes;
  return false;
}

Checked<> Lexer::read_string() {
  token_.kind = Token::Kind::kString;
  for (++cursor_; text_[cursor_] != '\''; ++cursor_) {
    if (text_[cursor_] == '\\') {
      ++cursor_;
      if (text_[cursor_] != '\\' && text_[cursor_] != '\n') {
        const std::string_view escaped = text_.substr(cursor_, first_character(text_.substr(cursor_)).bytes);
        return refuse(fmt::format("unknown escape \\{} in a string; only \\\\ is one", visible(escaped)));
      }
    }
    if (text_[cursor_] == '\n') return refuse("the string misses its closing quote (') on the same line");
    if (!is_printable_ascii(text_[cursor_])) {
      const std::string_view funny = text_.substr(cursor_, first_character(text_.substr(cursor_)).bytes);
      return refuse(fmt::format("funny character '{}' in a string; only printable ASCII is allowed", visible(funny)));
    }
    token_.string += text_[cursor_];
  }
  ++cursor_;
  return {};
}

bool Lexer::read_word(std::string_view word, Token::Kind kind) {
  if (!text_.substr(start_).starts_with(word)) return false;
  cursor_ = start_ + word.size();
  token_.kind = kind;
  return true;
}

std::unexpected<Diagnostic> Lexer::refuse_stray() const {
  const std::string word = visible(stray_word(text_.substr(start_)));
  std::string hint;
  if (word.starts_with('"')) hint = "; strings are in single quotes";
  if (word == "null") hint = "; there is no null value, only the type 'null'";
  if (word[0] == '-' || (word[0] >= '0' && word[0] <= '9')) hint = "; there are no numbers";
  return refuse(fmt::format("stray '{}'{}", word, hint));
}

std::unexpected<Diagnostic> Lexer::refuse(std::string message) const {
  return std::unexpected(Diagnostic{.at = token_.at, .context = {}, .message = std::move(message), .rule = {}});
}

std::unexpected<Diagnostic> Lexer::refuse_at(size_t character, std::string message) const {
  std::string_view line = text_.substr(line_start_);
  line = line.substr(0, line.find('\n'));
  Position at = this->line();
  at.column = 1;
  for (; character > 0 && !line.empty(); --character) {
    const Character next = first_character(line);
    at.column = next_column(at.column, next.code);
    line.remove_prefix(next.bytes);
  }
  return std::unexpected(Diagnostic{.at = at, .context = {}, .message = std::move(message), .rule = {}});
}

}  // namespace pagurus::qapi_gen
