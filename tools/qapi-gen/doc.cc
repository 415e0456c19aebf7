#include "doc.h"

#include <algorithm>

namespace pagurus::qapi_gen {

const DocSection* Doc::find(DocSection::Kind kind) const {
  const auto section = std::ranges::find(sections, kind, &DocSection::kind);
  return section == sections.end() ? nullptr : &*section;
}

const DocSection* Doc::find(DocSection::Kind kind, std::string_view name) const {
  const auto section = std::ranges::find_if(
      sections, [&](const DocSection& candidate) { return candidate.kind == kind && candidate.name == name; });
  return section == sections.end() ? nullptr : &*section;
}

}  // namespace pagurus::qapi_gen
