#include "strict_text.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "doc_format.h"
#include "unicode.h"

namespace pagurus::qapi_gen {
namespace {

constexpr std::string_view kStops = ".!?";
constexpr std::string_view kClosers = ")\"'";

bool is_letter(char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0; }
bool is_digit(char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; }
bool is_name(char c) { return is_letter(c) || is_digit(c) || c == '_' || c == '-'; }
bool is_word_character(char c) { return is_letter(c) || is_digit(c) || c == '_'; }

std::string lower(std::string_view text) {
  std::string result(text);
  std::ranges::transform(result, result.begin(), [](unsigned char c) { return std::tolower(c); });
  return result;
}

// Whether the full stop at `i` belongs to an abbreviation or an ellipsis.
bool abbreviates(std::string_view text, size_t i) {
  static constexpr auto kAbbreviations =
      std::to_array<std::string_view>({"a.k.a", "approx", "cf", "e.g", "etc", "i.e", "incl", "resp", "vs"});
  if (text[i] != '.') return false;
  if (i == 0 || text[i - 1] == ' ' || text[i - 1] == '.') return true;
  size_t start = i;
  while (start > 0 && (is_letter(text[start - 1]) || text[start - 1] == '.')) --start;
  return std::ranges::find(kAbbreviations, lower(text.substr(start, i - start))) != kAbbreviations.end();
}

// Behind literal text that begins at `i` and ends in the same line; `i` if none does.
size_t skip_literal(std::string_view text, size_t i) {
  if (text[i] != '`') return i;
  const size_t ticks = text.substr(i).starts_with("``") ? 2 : 1;
  const size_t end = text.find(std::string(ticks, '`'), i + ticks);
  return end == std::string_view::npos ? i : end + ticks;
}

size_t list_number_end(std::string_view line) {
  const size_t start = std::min(line.find_first_not_of(' '), line.size());
  size_t end = start;
  while (end < line.size() && is_digit(line[end])) ++end;
  return end > start && end < line.size() && line[end] == '.' ? end + 1 : 0;
}

bool begins_sentence(char c, bool behind_closer) {
  if (c == '@' || c == '`') return true;
  // "(if there is one.) and" may go on.
  return !(behind_closer && std::islower(static_cast<unsigned char>(c)) != 0) &&
         (is_word_character(c) || c == '(' || c == '"');
}

std::string_view next_line(std::string_view& text) {
  const size_t end = text.find('\n');
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return line;
}

size_t indentation_of(std::string_view line) { return std::min(line.find_first_not_of(' '), line.size()); }

// Without literal blocks; an empty line between paragraphs.
std::string without_literal_blocks(std::string_view text) {
  std::string result;
  bool literal = false;
  size_t outside = 0;  // the indentation of what introduces the block
  while (!text.empty()) {
    const std::string_view line = next_line(text);
    const size_t indentation = indentation_of(line);
    const bool blank = indentation == line.size();
    if (literal && !blank && indentation <= outside) literal = false;
    if (literal) continue;
    if (starts_literal_text(line.substr(indentation)) || line.ends_with("::")) {
      literal = true;
      outside = indentation;
      result += '\n';
      continue;
    }
    (result += line) += '\n';
  }
  return result;
}

void add_sentence(std::vector<std::string>& found, std::string& sentence) {
  while (sentence.ends_with(' ')) sentence.pop_back();
  if (!sentence.empty()) found.push_back(std::move(sentence));
  sentence.clear();
}

// A stop ends a sentence at the end of a line, and where two spaces follow.
void add_sentences(std::vector<std::string>& found, std::string_view paragraph) {
  std::string sentence;
  for (size_t i = 0; i < paragraph.size(); ++i) {
    const char c = paragraph[i];
    const bool space = c == ' ' || c == '\n';
    if (!space) sentence += c;
    if (space && !sentence.empty() && sentence.back() != ' ') sentence += ' ';
    if (space || !kStops.contains(c)) continue;
    size_t next = i + 1;
    while (next < paragraph.size() && kClosers.contains(paragraph[next])) sentence += paragraph[next++];
    const std::string_view rest = paragraph.substr(next);
    i = next - 1;
    const bool ends = rest.empty() || rest[0] == '\n' || rest.starts_with("  ");
    if (ends && !abbreviates(sentence, sentence.find_last_of(kStops))) add_sentence(found, sentence);
  }
  add_sentence(found, sentence);
}

}  // namespace

std::vector<std::string> sentences(std::string_view text) {
  const std::string prose = without_literal_blocks(text);
  std::vector<std::string> found;
  std::string_view rest = prose;
  std::string paragraph;
  while (!rest.empty()) {
    const std::string_view line = next_line(rest);
    if (indentation_of(line) < line.size()) {
      (paragraph += line) += '\n';
      continue;
    }
    add_sentences(found, paragraph);
    paragraph.clear();
  }
  add_sentences(found, paragraph);
  return found;
}

std::vector<std::string_view> mentioned_members(std::string_view text) {
  std::vector<std::string_view> names;
  for (size_t i = 0; i < text.size(); ++i) {
    const size_t behind = skip_literal(text, i);
    if (behind > i) {
      i = behind - 1;
      continue;
    }
    if (text[i] != '@' || (i > 0 && is_word_character(text[i - 1]))) continue;
    size_t end = i + 1;
    while (end < text.size() && is_name(text[end])) ++end;
    if (end > i + 1) names.push_back(text.substr(i + 1, end - i - 1));
    i = end - 1;
  }
  return names;
}

bool has_word(std::string_view text, std::string_view word) {
  const std::string in = lower(text), what = lower(word);
  for (size_t at = in.find(what); at != std::string::npos; at = in.find(what, at + 1)) {
    const size_t end = at + what.size();
    const bool begins = at == 0 || !is_word_character(in[at - 1]);
    if (begins && (end == in.size() || !is_word_character(in[end]))) return true;
  }
  return false;
}

std::vector<size_t> wrong_sentence_ends(std::string_view line) {
  std::vector<size_t> wrong;
  size_t i = list_number_end(line);
  while (i < line.size()) {
    const size_t behind = skip_literal(line, i);
    if (behind > i) {
      i = behind;
      continue;
    }
    const size_t stop = i++;
    if (!kStops.contains(line[stop]) || abbreviates(line, stop)) continue;
    // '!' and '?' by themselves are signs, such as operators.
    if (stop == 0 || line[stop - 1] == ' ') continue;
    while (i < line.size() && kClosers.contains(line[i])) ++i;
    const size_t next = line.find_first_not_of(' ', i);
    if (next == std::string_view::npos || next == i || next == i + 2) continue;
    if (begins_sentence(line[next], i > stop + 1)) wrong.push_back(character_count(line.substr(0, i)));
  }
  return wrong;
}

}  // namespace pagurus::qapi_gen
