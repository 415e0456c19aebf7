#include "doc_links.h"

#include <fmt/core.h>

#include "base/result.h"

namespace pagurus::qapi_gen {

DocLinks::Index& DocLinks::index(const Doc& doc) {
  const auto [position, added] = docs_.try_emplace(&doc);
  Index& index = position->second;
  if (!added) return index;
  for (const DocSection& section : doc.sections) {
    if (section.kind == DocSection::Kind::kMember) index.members.emplace(section.name, false);
    if (section.kind == DocSection::Kind::kFeature) index.features.emplace(section.name, false);
  }
  return index;
}

Checked<> DocLinks::connect_member(const Doc& doc, std::string_view name, std::string_view role, const Place& place) {
  Names& members = index(doc).members;
  const auto found = members.find(name);
  if (found != members.end()) {
    found->second = true;
    return {};
  }
  if (parsed_.pragmas.documentation_exceptions.contains(doc.symbol)) return {};
  return place.refuse(fmt::format("{} '{}' lacks documentation: add '# @{}: ...' to the comment", role, name, name));
}

Checked<> DocLinks::connect_feature(const Doc& doc, std::string_view name, const Place& place) {
  Names& features = index(doc).features;
  const auto found = features.find(name);
  if (found == features.end()) {
    return place.refuse(
        fmt::format("feature '{}' lacks documentation: add '# @{}: ...' below 'Features:'", name, name));
  }
  found->second = true;
  return {};
}

Checked<> DocLinks::check_section(const DocSection& section, const Names& names, std::string_view what) {
  const auto found = names.find(section.name);
  if (found != names.end() && found->second) return {};
  const Place place{.at = {.file = section.at.file, .line = section.at.line, .column = 0}, .context = {}};
  return place.refuse(
      fmt::format("documented {} '{}' does not exist: the definition has none of that name", what, section.name));
}

Checked<> DocLinks::check_all() {
  for (const auto& doc : parsed_.docs) {
    if (doc->free_form()) continue;
    const Index& names = index(*doc);
    for (const DocSection& section : doc->sections) {
      if (section.kind == DocSection::Kind::kMember) TRY(check_section(section, names.members, "member"));
    }
    for (const DocSection& section : doc->sections) {
      if (section.kind == DocSection::Kind::kFeature) TRY(check_section(section, names.features, "feature"));
    }
  }
  return {};
}

}  // namespace pagurus::qapi_gen
