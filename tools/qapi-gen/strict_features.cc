// Strict rules about the texts of features.
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <set>

#include "strict_rules.h"
#include "strict_text.h"

namespace pagurus::qapi_gen {
namespace {

using Names = std::vector<std::string_view>;

std::string listed(const Names& names) {
  std::string text;
  for (size_t i = 0; i < names.size(); ++i) {
    if (i > 0) text += i + 1 == names.size() ? " and " : ", ";
    text += fmt::format("'@{}'", names[i]);
  }
  return text;
}

// Members that can be named: of a base or of arguments with a type of their own, too.
std::set<std::string_view> nameable(const DescribedDefinition& definition) {
  std::set<std::string_view> names;
  for (const DescribedMember& member : definition.members) names.insert(member.name);
  const auto add = [&](const ObjectType* type) {
    if (type == nullptr) return;
    for (const Member* member : type->members) names.insert(member->name);
  };
  const Entity& entity = *definition.entity;
  if (entity.kind == Entity::Kind::kObject) add(&static_cast<const ObjectType&>(entity));
  if (entity.kind == Entity::Kind::kCommand) add(static_cast<const Command&>(entity).arguments);
  if (entity.kind == Entity::Kind::kEvent) add(static_cast<const Event&>(entity).arguments);
  return names;
}

bool is_special(std::string_view feature) { return feature == "deprecated" || feature == "unstable"; }

// A special feature is about what the first sentence names; what another feature of the definition itself means
// may be a matter of any member.
bool must_match(const DescribedDefinition& definition, const DocSection& feature, const Names& having) {
  if (is_special(feature.name)) return true;
  return !having.empty() && !definition.entity->has_feature(feature.name);
}

std::string mismatch(const DescribedDefinition& definition, const DocSection& feature, const Names& having,
                     const Names& named) {
  if (having.empty()) {
    return fmt::format(
        "the text of feature '{}' begins with {}, but no member has the feature; it is about all of "
        "'{}'",
        feature.name, listed(named), definition.entity->name);
  }
  return fmt::format(
      "the first sentence about feature '{}' must name the members that have it, in alphabetical "
      "order: {}; it names {}",
      feature.name, listed(having), named.empty() ? "none" : listed(named));
}

void check_feature(const DescribedDefinition& definition, const DocSection& feature, StrictFindings& findings) {
  Names having;
  for (const DescribedMember& member : definition.members) {
    if (member.has_feature(feature.name)) having.push_back(member.name);
  }
  std::ranges::sort(having);
  const std::vector<std::string> all = sentences(feature.text);
  const std::set<std::string_view> known = nameable(definition);
  for (const std::string& sentence : all) {
    for (const std::string_view name : mentioned_members(sentence)) {
      if (known.contains(name)) continue;
      findings.add(definition, feature.at,
                   fmt::format("the text of feature '{}' names '@{}', but there is no such member; mark what is not a "
                               "member as `name` or ``text``",
                               feature.name, name));
      return;
    }
  }
  const Names named = all.empty() ? Names{} : mentioned_members(all.front());
  if (!must_match(definition, feature, having) || named == having) return;
  findings.add(definition, feature.at, mismatch(definition, feature, having, named));
}

bool says_what_instead(const DocSection& feature) {
  return std::ranges::any_of(sentences(feature.text), [](const std::string& sentence) {
    return (has_word(sentence, "use") && has_word(sentence, "instead")) || has_word(sentence, "no replacement");
  });
}

void for_each_feature(const StrictInput& input,
                      const std::function<void(const DescribedDefinition&, const DocSection&)>& function) {
  for (const DescribedDefinition& definition : input.definitions) {
    for (const DocSection& section : definition.doc->sections) {
      if (section.kind == DocSection::Kind::kFeature) function(definition, section);
    }
  }
}

}  // namespace

void check_feature_members(const StrictInput& input, StrictFindings& findings) {
  for_each_feature(input, [&](const DescribedDefinition& definition, const DocSection& feature) {
    check_feature(definition, feature, findings);
  });
}

void check_deprecated(const StrictInput& input, StrictFindings& findings) {
  for_each_feature(input, [&](const DescribedDefinition& definition, const DocSection& feature) {
    if (feature.name != "deprecated" || says_what_instead(feature)) return;
    findings.add(definition, feature.at,
                 "the text of feature 'deprecated' must say what to do: \"Use ... instead\", or \"There is no "
                 "replacement\"");
  });
}

}  // namespace pagurus::qapi_gen
