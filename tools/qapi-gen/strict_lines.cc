// Strict rules about lines: these look at the files themselves, since a documentation section no longer knows
// where its lines were.
#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

#include "doc_format.h"
#include "strict_rules.h"
#include "strict_text.h"
#include "unicode.h"

namespace pagurus::qapi_gen {
namespace {

// The lines of one file, counted from 1, and the definition that each belongs to.
struct Lines {
  std::vector<std::string_view> text{{}};
  std::vector<const Entity*> owner{nullptr};

  void add(std::string_view line) {
    text.push_back(line);
    owner.push_back(nullptr);
  }
};

Lines lines_of(const SourceFile& file) {
  Lines lines;
  std::string_view rest = file.text;
  while (!rest.empty()) {
    const size_t end = rest.find('\n');
    lines.add(without_trailing_space(rest.substr(0, end)));
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  }
  return lines;
}

std::string_view without_indentation(std::string_view line) { return line.substr(indentation(line).bytes); }

bool is_comment(std::string_view line) { return without_indentation(line).starts_with('#'); }
bool ends_doc(std::string_view line) { return without_indentation(line) == "##"; }

using Files = std::unordered_map<const SourceFile*, Lines>;

// A documentation comment without its "##" lines.
template <class Function>
void for_each_doc_line(const Lines& lines, const Doc& doc, Function function) {
  for (size_t i = doc.at.line + 1; i < lines.text.size() && !ends_doc(lines.text[i]); ++i) function(i);
}

// Its own lines, up to the next definition or comment, and those of its documentation.
void own_lines(Lines& lines, const Entity& entity) {
  for (size_t i = entity.at.line; i < lines.text.size() && !is_comment(lines.text[i]); ++i) lines.owner[i] = &entity;
  if (entity.doc == nullptr) return;
  for_each_doc_line(lines, *entity.doc, [&](size_t i) { lines.owner[i] = &entity; });
}

Files files_of(const Schema& schema) {
  Files files;
  for (const auto& file : schema.parsed.files) files.emplace(file.get(), lines_of(*file));
  // In the order of definition, so that each takes its lines from the one before it.
  for (const auto& entity : schema.entities) {
    if (entity->at.file != nullptr) own_lines(files.at(entity->at.file), *entity);
  }
  return files;
}

// A comment, without its "# " and without literal blocks.
template <class Function>
void for_each_prose_line(const Lines& lines, const Doc& doc, Function function) {
  bool literal = false;
  size_t outside = 0;
  for_each_doc_line(lines, doc, [&](size_t i) {
    const std::string_view comment = without_indentation(lines.text[i]);
    const std::string_view line = comment.substr(std::min<size_t>(2, comment.size()));
    const std::string_view words = without_indentation(line);
    const size_t indented = line.size() - words.size();
    if (words.empty()) return;
    if (literal && indented > outside) return;
    literal = starts_literal_text(words) || words.ends_with("::");
    outside = indented;
    if (!literal) function(i, line, lines.text[i].size() - line.size());
  });
}

}  // namespace

void check_line_length(const StrictInput& input, StrictFindings& findings) {
  const Files files = files_of(input.schema);
  for (const auto& file : input.schema.parsed.files) {
    const Lines& lines = files.at(file.get());
    for (size_t i = 1; i < lines.text.size(); ++i) {
      const std::string_view line = lines.text[i];
      const std::string_view content = without_indentation(line);
      const bool too_long = content.starts_with("# ") ? is_too_long(content.substr(2)) : line.size() > kMaxDocLine;
      const size_t characters = too_long ? character_count(line) : 0;
      if (characters <= kMaxDocLine) continue;
      findings.found.push_back(
          {.entity = lines.owner[i],
           .at = {.file = file.get(), .line = static_cast<int>(i), .column = 0},
           .message = fmt::format("the line has {} characters; {} are allowed", characters, kMaxDocLine)});
    }
  }
}

void check_sentence_spaces(const StrictInput& input, StrictFindings& findings) {
  const Files files = files_of(input.schema);
  for (const auto& doc : input.schema.parsed.docs) {
    const Lines& lines = files.at(doc->at.file);
    for_each_prose_line(lines, *doc, [&](size_t i, std::string_view line, size_t start) {
      for (const size_t end : wrong_sentence_ends(line)) {
        const int column = static_cast<int>(start + end) + 1;
        findings.found.push_back({.entity = lines.owner[i],
                                  .at = {.file = doc->at.file, .line = static_cast<int>(i), .column = column},
                                  .message = "exactly two spaces are needed between sentences"});
      }
    });
  }
}

}  // namespace pagurus::qapi_gen
