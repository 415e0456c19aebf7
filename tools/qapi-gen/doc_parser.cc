#include "doc_parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

#include "base/result.h"
#include "doc_builder.h"
#include "doc_lines.h"
#include "unicode.h"

namespace pagurus::qapi_gen {
namespace {

using Kind = DocSection::Kind;

struct Heading {
  std::string_view name;
  std::string_view text;  // behind it, in the same line
};

std::string_view without_spaces(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  return text;
}

// "@name: text".  Whether the name is one is not asked here: it must be a member's.
std::optional<Heading> description_of(std::string_view line) {
  if (!line.starts_with('@')) return std::nullopt;
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) return std::nullopt;
  return Heading{.name = line.substr(1, colon - 1), .text = without_spaces(line.substr(colon + 1))};
}

// "Tag: text".  With two colons it is markup.
std::optional<Heading> tag_of_line(std::string_view line) {
  constexpr auto kTags =
      std::to_array<std::string_view>({"Returns", "Errors", "Since", "Note", "Notes", "Example", "Examples", "TODO"});
  const std::string_view tag = line.substr(0, line.find(':'));
  if (tag.size() == line.size() || std::ranges::find(kTags, tag) == kTags.end()) return std::nullopt;
  const std::string_view rest = line.substr(tag.size() + 1);
  if (rest.starts_with(':')) return std::nullopt;
  return Heading{.name = tag, .text = without_spaces(rest)};
}

Kind kind_of(std::string_view tag) {
  if (tag == "Returns") return Kind::kReturns;
  if (tag == "Errors") return Kind::kErrors;
  if (tag == "Since") return Kind::kSince;
  CHECK(tag == "TODO", "the other tags are refused before");
  return Kind::kTodo;
}

// Reads a definition's comment, from the line behind the one that names the symbol.
class DefinitionDocReader {
 public:
  DefinitionDocReader(DocLines& lines, DocBuilder& builder) : lines_(lines), builder_(builder) {}

  Checked<> read() {
    while (true) {
      TRY(lines_.skip_blank());
      if (lines_.at_end()) return {};
      TRY(read_section());
    }
  }

 private:
  Checked<> read_section() {
    const std::string_view line = *lines_.line();
    if (line == "Features:") return read_features();
    if (const auto description = description_of(line)) return read_members(description->name);
    if (const auto tag = tag_of_line(line)) return read_tagged(*tag);
    return read_paragraph();
  }

  Checked<> read_features() {
    if (builder_.has_features()) return lines_.refuse("there is a 'Features:' line already");
    TRY(lines_.advance());
    TRY(lines_.skip_blank());
    TRY(read_descriptions(Kind::kFeature));
    if (!builder_.has_features()) return lines_.refuse("'Features:' must be followed by '@feature: text'");
    members_may_follow_ = false;
    return {};
  }

  Checked<> read_members(std::string_view first) {
    if (!members_may_follow_) {
      return lines_.refuse(
          fmt::format("the description of '@{}:' must stand with the other members, in front of all sections", first));
    }
    TRY(read_descriptions(Kind::kMember));
    members_may_follow_ = false;
    return {};
  }

  Checked<> read_descriptions(Kind kind) {
    while (!lines_.at_end()) {
      const auto description = description_of(*lines_.line());
      if (!description) return {};
      TRY(builder_.open_description(kind, description->name, lines_.position()));
      builder_.append_tag_text(description->text);
      TRY(read_indented());
    }
    return {};
  }

  Checked<> read_tagged(const Heading& tag) {
    if (tag.name.starts_with("Note")) {
      return lines_.refuse(fmt::format("there is no '{}' section; write '.. note::' instead", tag.name));
    }
    if (tag.name.starts_with("Example")) {
      return lines_.refuse(fmt::format("there is no '{}' section; write '.. qmp-example::' instead", tag.name));
    }
    TRY(builder_.open_tagged(kind_of(tag.name), lines_.position()));
    builder_.append_tag_text(tag.text);
    TRY(read_indented());
    members_may_follow_ = false;
    return {};
  }

  // Lines up to the next blank one, whatever they look like.
  Checked<> read_paragraph() {
    builder_.open_plain(lines_.position());
    do {
      builder_.append(*lines_.line());
      TRY(lines_.advance());
    } while (!lines_.at_end() && !lines_.at_blank());
    return {};
  }

  // What belongs to a tag or a name because it is indented.  The first such line sets by how much.
  Checked<> read_indented() {
    TRY(lines_.advance());
    while (lines_.at_blank()) TRY(append_and_advance());
    if (lines_.at_end()) return {};
    const size_t expected = indentation(*lines_.line()).characters;
    if (expected == 0) return {};
    TRY(append_and_advance());
    for (bool second = true; !lines_.at_end() && !description_of(*lines_.line()); second = false) {
      if (!lines_.at_blank() && indentation(*lines_.line()).characters < expected) {
        // Further down, text that comes out further to the left begins a section of its own.
        if (!second) return {};
        return lines_.refuse(fmt::format("this line must be indented by at least {} space{}, as the one above it",
                                         expected, expected == 1 ? "" : "s"));
      }
      TRY(append_and_advance());
    }
    return {};
  }

  Checked<> append_and_advance() {
    builder_.append(*lines_.line());
    return lines_.advance();
  }

  DocLines& lines_;
  DocBuilder& builder_;
  bool members_may_follow_ = true;
};

Checked<std::string_view> read_symbol(const DocLines& lines) {
  std::string_view line = *lines.line();
  if (!line.ends_with(':')) return lines.refuse("the line that names the definition must end with ':', as in '@name:'");
  line = line.substr(1, line.size() - 2);
  if (line.empty()) return lines.refuse("the definition's name is required after '@'");
  return line;
}

Checked<> read_free_form(DocLines& lines, DocBuilder& builder) {
  builder.open_plain(lines.position());
  while (!lines.at_end()) {
    if (const auto description = description_of(*lines.line())) {
      return lines.refuse(
          fmt::format("'@{}:' has no place in free-form documentation; a definition's begins with its "
                      "name, '@name:'",
                      description->name));
    }
    builder.append(*lines.line());
    TRY(lines.advance());
  }
  return {};
}

Checked<> read_sections(DocLines& lines, DocBuilder& builder) {
  if (builder.free_form()) return read_free_form(lines, builder);
  TRY(lines.advance());
  return DefinitionDocReader(lines, builder).read();
}

}  // namespace

Checked<std::unique_ptr<Doc>> read_doc(Lexer& lexer) {
  if (lexer.token().comment != "##") {
    return lexer.refuse("junk after '##' at the start of a documentation comment");
  }
  const Position start = lexer.line();
  DocLines lines(lexer);
  TRY(lines.advance());
  std::string_view symbol;
  if (!lines.at_end() && lines.line()->starts_with('@')) symbol = TRY(read_symbol(lines));
  DocBuilder builder(start, symbol);
  TRY(read_sections(lines, builder));
  TRY(lexer.advance());
  return std::move(builder).finish();
}

}  // namespace pagurus::qapi_gen
