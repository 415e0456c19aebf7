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

// A full stop ends a sentence if blanks and then anything but a lower-case letter follow ("e.g. this").
std::string first_sentence_of(std::string_view text) {
  std::string plain = plain_text(first_paragraph(text));
  for (size_t dot = plain.find('.'); dot != std::string::npos; dot = plain.find('.', dot + 1)) {
    if (dot + 1 < plain.size() && plain[dot + 1] != ' ') continue;
    if (dot + 2 < plain.size() && std::islower(static_cast<unsigned char>(plain[dot + 2])) != 0) continue;
    return plain.substr(0, dot + 1);
  }
  return plain;
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
