// The markup of documentation comments as blocks: what Markdown and man pages are written from.  It is the
// part of reStructuredText that schemas use: paragraphs, lists, literal blocks, examples, headings, and
// `references`, ``literals`` and @members inside of text.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace pagurus::qapi_gen {

struct Span {
  enum class Kind { kText, kLiteral, kReference, kMember };
  Kind kind;
  std::string text;  // without the marks around it; line ends are blanks
};

struct Block {
  enum class Kind {
    kParagraph,
    kItem,     // of a list; `marker` is "-" or "1."
    kLiteral,  // lines as they are
    kExample,  // the same, of QMP
    kHeading,
  };
  Kind kind;
  size_t depth = 0;  // in how many items of lists it is
  size_t inset = 0;  // the width of their markers, each with its blank
  std::string marker;
  std::vector<Span> spans;  // kParagraph, kItem, kHeading
  std::string lines;        // kLiteral, kExample: with '\n' at the end of each
};

std::vector<Block> parse_markup(std::string_view text);
std::vector<Span> parse_spans(std::string_view text);

}  // namespace pagurus::qapi_gen
