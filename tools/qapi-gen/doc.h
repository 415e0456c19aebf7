// A documentation comment, taken apart: what a definition's text says about it, about its members,
// its features, what it returns and since when it exists.  A comment that belongs to no definition is
// free-form text.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "source.h"

namespace pagurus::qapi_gen {

struct DocSection {
  // In the order of the comment; kPlain also for the introduction (always sections[0], possibly empty).
  enum class Kind { kPlain, kMember, kFeature, kReturns, kErrors, kSince, kTodo };
  Kind kind = Kind::kPlain;
  std::string name;   // of a member or feature, without '@'
  Position at;        // of its first line
  std::string text;   // without the tag, without common indentation; lines are joined by '\n'
};

struct Doc {
  Position at;
  std::string symbol;  // the definition it documents; empty: free-form
  std::vector<DocSection> sections;

  bool free_form() const { return symbol.empty(); }
  const DocSection* find(DocSection::Kind kind) const;
  const DocSection* find(DocSection::Kind kind, std::string_view name) const;
};

}  // namespace pagurus::qapi_gen
