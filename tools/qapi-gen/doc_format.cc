#include "doc_format.h"

#include "unicode.h"

namespace pagurus::qapi_gen {
namespace {

std::string_view without_spaces(std::string_view text) {
  const size_t start = text.find_first_not_of(' ');
  return start == std::string_view::npos ? std::string_view() : text.substr(start);
}

bool is_address(std::string_view line) {
  line = without_spaces(line);
  if (line.contains(' ')) return false;
  return line.starts_with("http://") || line.starts_with("https://") || line.starts_with("ftp://");
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// One space and what may begin a sentence.
bool sentence_follows(std::string_view text) {
  if (text.size() < 2 || text[0] != ' ') return false;
  const char next = text[1];
  return (next >= 'A' && next <= 'Z') || is_digit(next) || next == '(';
}

bool word_ends_before(std::string_view line, size_t i) {
  if (i == 0) return true;
  size_t start = i - 1;
  while (start > 0 && (static_cast<unsigned char>(line[start]) & 0xc0) == 0x80) --start;
  return !is_word(first_character(line.substr(start)).code);
}

// Behind a list's number at the line's start, "1."; 0 if there is none.
size_t list_number_end(std::string_view line) {
  const std::string_view rest = without_spaces(line);
  const bool found = rest.size() >= 2 && is_digit(rest[0]) && rest[1] == '.';
  return found ? line.size() - rest.size() + 2 : 0;
}

}  // namespace

bool is_too_long(std::string_view line) {
  if (line.size() + 2 <= kMaxDocLine) return false;
  return character_count(line) + 2 > kMaxDocLine && !is_address(line);
}

std::optional<size_t> find_single_space(std::string_view line) {
  const size_t number = list_number_end(line);
  const bool numbered = number > 0 && sentence_follows(line.substr(number));
  for (size_t i = numbered ? number + 2 : 0; i < line.size(); ++i) {
    const std::string_view rest = line.substr(i);
    if (rest.starts_with("e.g.") && word_ends_before(line, i) && sentence_follows(rest.substr(4))) {
      // What is behind it begins with its next character but one: "e.g. A".
      i += 5;
      continue;
    }
    const bool stops = rest[0] == '.' || rest[0] == '!' || rest[0] == '?';
    if (stops && sentence_follows(rest.substr(1))) return character_count(line.substr(0, i));
  }
  return std::nullopt;
}

bool starts_literal_text(std::string_view line) {
  if (line.starts_with("..")) {
    const std::string_view directive = without_spaces(line.substr(2));
    if (directive.size() + 2 == line.size() || !directive.starts_with("qmp-example")) return false;
    line = directive.substr(std::string_view("qmp-example").size());
  }
  return without_spaces(line) == "::";
}

}  // namespace pagurus::qapi_gen
