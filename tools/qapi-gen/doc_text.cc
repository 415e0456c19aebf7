#include "doc_text.h"

#include <cctype>

namespace pagurus::qapi_gen {
namespace {

std::string_view first_paragraph(std::string_view text) {
  size_t start = text.find_first_not_of(" \n");
  if (start == std::string_view::npos) return {};
  text.remove_prefix(start);
  return text.substr(0, text.find("\n\n"));
}

// A full stop ends a sentence if two blanks follow, or the line's end and then no lower-case letter.
std::string first_sentence_of(std::string_view text) {
  std::string_view paragraph = first_paragraph(text);
  for (size_t dot = paragraph.find('.'); dot != std::string_view::npos; dot = paragraph.find('.', dot + 1)) {
    std::string_view rest = paragraph.substr(dot + 1);
    size_t next = rest.find_first_not_of(" \n");
    bool at_end = next == std::string_view::npos;
    bool new_line = !at_end && rest[0] == '\n' && std::islower(static_cast<unsigned char>(rest[next])) == 0;
    if (at_end || new_line || rest.starts_with("  ")) return plain_text(paragraph.substr(0, dot + 1));
  }
  return plain_text(paragraph);
}

}  // namespace

std::string plain_text(std::string_view text) {
  std::string result;
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '`') continue;
    bool names_member = c == '@' && i + 1 < text.size() && std::isalnum(static_cast<unsigned char>(text[i + 1])) != 0;
    if (names_member && (i == 0 || std::isalnum(static_cast<unsigned char>(text[i - 1])) == 0)) continue;
    if (c == '\n' || c == ' ') {
      if (!result.empty() && result.back() != ' ') result += ' ';
    } else {
      result += c;
    }
  }
  while (result.ends_with(' ')) result.pop_back();
  return result;
}

std::string first_sentence(const Doc* doc) {
  if (doc == nullptr || doc->sections.empty()) return {};
  return first_sentence_of(doc->sections.front().text);
}

std::string first_sentence_about(const Doc* doc, DocSection::Kind kind, std::string_view name) {
  const DocSection* section = doc != nullptr ? doc->find(kind, name) : nullptr;
  return section != nullptr ? first_sentence_of(section->text) : std::string();
}

std::string wrapped(std::string_view text, std::string_view line_start, size_t width) {
  std::string result;
  std::string line(line_start);
  while (!text.empty()) {
    size_t end = text.find(' ');
    std::string_view word = text.substr(0, end);
    if (line.size() > line_start.size() && line.size() + 1 + word.size() > width) {
      result += line + '\n';
      line = line_start;
    }
    line += line.size() > line_start.size() ? " " : "";
    line += word;
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return line.size() > line_start.size() ? result + line + '\n' : result;
}

}  // namespace pagurus::qapi_gen
