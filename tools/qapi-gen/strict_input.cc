// What definitions list themselves, and what is said about it.
#include "strict_rules.h"

#include <algorithm>

namespace pagurus::qapi_gen {
namespace {

using Kind = Entity::Kind;

void add_members(DescribedDefinition& definition, const ObjectType& type) {
  for (const Member& member : type.local_members) {
    definition.members.push_back(
        {.name = member.name, .type = member.type, .features = &member.features, .text = nullptr});
  }
}

// Types that have a name are described where they are defined.
void add_arguments(DescribedDefinition& definition, const ObjectType* arguments) {
  if (arguments != nullptr && arguments->implicit) add_members(definition, *arguments);
}

void add_object(DescribedDefinition& definition, const ObjectType& type) {
  if (type.base != nullptr && type.base->implicit) add_members(definition, *type.base);
  add_members(definition, type);
}

void add_enum(DescribedDefinition& definition, const EnumType& type) {
  for (const EnumMember& value : type.members) {
    definition.members.push_back({.name = value.name, .type = nullptr, .features = &value.features, .text = nullptr});
  }
}

void add_alternate(DescribedDefinition& definition, const AlternateType& type) {
  for (const Branch& branch : type.branches) {
    definition.members.push_back({.name = branch.name, .type = branch.type, .features = nullptr, .text = nullptr});
  }
}

void add_all_members(DescribedDefinition& definition) {
  const Entity& entity = *definition.entity;
  switch (entity.kind) {
    case Kind::kEnum: return add_enum(definition, static_cast<const EnumType&>(entity));
    case Kind::kObject: return add_object(definition, static_cast<const ObjectType&>(entity));
    case Kind::kAlternate: return add_alternate(definition, static_cast<const AlternateType&>(entity));
    case Kind::kCommand: return add_arguments(definition, static_cast<const Command&>(entity).arguments);
    case Kind::kEvent: return add_arguments(definition, static_cast<const Event&>(entity).arguments);
    case Kind::kBuiltin:
    case Kind::kArray: return;
  }
}

DescribedDefinition described(const Entity& entity) {
  DescribedDefinition definition{.entity = &entity, .doc = entity.doc, .members = {}, .ranks = {}, .since = {}};
  add_all_members(definition);
  for (size_t i = 0; i < definition.members.size(); ++i) definition.ranks.emplace(definition.members[i].name, i);
  for (const DocSection& section : entity.doc->sections) {
    if (section.kind == DocSection::Kind::kSince) definition.since = SinceVersion::parse(section.text);
    const auto rank = definition.ranks.find(section.name);
    const bool describes = section.kind == DocSection::Kind::kMember && rank != definition.ranks.end();
    if (describes) definition.members[rank->second].text = &section;
  }
  return definition;
}

}  // namespace

bool DescribedMember::has_feature(std::string_view feature) const {
  return features != nullptr && std::ranges::find(*features, feature, &Feature::name) != features->end();
}

const DescribedMember* DescribedDefinition::find(std::string_view name) const {
  const auto rank = ranks.find(name);
  return rank != ranks.end() ? &members[rank->second] : nullptr;
}

StrictInput strict_input(const Schema& schema, SinceVersion project) {
  StrictInput input{.schema = schema, .project = project, .definitions = {}};
  for (const auto& entity : schema.entities) {
    const bool defined = entity->at.file != nullptr && entity->doc != nullptr;
    if (defined) input.definitions.push_back(described(*entity));
  }
  return input;
}

}  // namespace pagurus::qapi_gen
