// Unions: the member that tells which branch there is, and the branches.
#include <fmt/core.h>

#include <algorithm>

#include "base/result.h"
#include "linker.h"
#include "names.h"

namespace pagurus::qapi_gen {

Checked<> Linker::check_discriminator(Draft& draft, const Seen& seen) const {
  ObjectType& object = static_cast<ObjectType&>(*draft.entity);
  const std::string& name = draft.definition->discriminator;
  const auto found = seen.find(identifier(name));
  if (found == seen.end() || found->second->name != name) {
    const std::string hint = found == seen.end() ? "" : fmt::format("; '{}' is", found->second->name);
    return draft.place().refuse(fmt::format("discriminator '{}' is not a member of 'base'{}", name, hint));
  }
  const Member& member = *found->second;
  const std::string subject = object.base->implicit ? fmt::format("discriminator '{}'", name)
                                                    : fmt::format("discriminator '{}' of base '{}'", name, draft.base);
  if (member.type->kind != Entity::Kind::kEnum) {
    return draft.place().refuse(fmt::format("{} must be of an enum type, not of '{}'", subject, member.type->name));
  }
  if (member.optional) return draft.place().refuse(fmt::format("{} must not be optional", subject));
  if (!member.condition.always()) return draft.place().refuse(fmt::format("{} must not be conditional", subject));
  object.discriminator = &member;
  return {};
}

Checked<Branch> Linker::check_branch(const Draft& draft, const MemberDraft& written) {
  const std::string branch = fmt::format("branch '{}'", written.name);
  Draft& type = *TRY(find_type(written.type.type_name(), draft, branch));
  if (type.entity->kind != Entity::Kind::kObject) {
    return draft.place().refuse(
        fmt::format("{} cannot use {}: a branch adds members, so it is a struct or a union", branch, describe(type)));
  }
  TRY(check_object(type));
  return Branch{.name = written.name,
                .type = static_cast<const Type*>(type.entity.get()),
                .condition = written.condition,
                .at = written.at};
}

Checked<> Linker::check_branches(Draft& draft) {
  ObjectType& object = static_cast<ObjectType&>(*draft.entity);
  const EnumType& type = static_cast<const EnumType&>(*object.discriminator->type);
  std::unordered_map<std::string_view, size_t> values;
  for (const EnumMember& value : type.members) {
    values.emplace(value.name, object.branches.size());
    object.branches.push_back({.name = value.name,
                               .type = schema_.empty_object,
                               .condition = value.condition,
                               .at = draft.place().at,
                               .implicit = true});
  }
  if (object.branches.empty() && draft.branches->empty()) {
    return draft.place().refuse(fmt::format("the union has no branches: enum '{}' has no values", type.name));
  }
  for (const MemberDraft& written : *draft.branches) {
    const auto value = values.find(written.name);
    if (value == values.end()) {
      return draft.place().refuse(
          fmt::format("branch '{}' is not a value of discriminator's enum '{}'", written.name, type.name));
    }
    object.branches[value->second] = TRY(check_branch(draft, written));
  }
  return {};
}

// Members, and for a union the branches' members: whatever could stand beside another type's members.
Checked<const std::vector<std::string>*> Linker::identifiers(Draft& draft, const Draft& user) {
  if (draft.has_identifiers) return &draft.identifiers;
  const ObjectType& object = static_cast<const ObjectType&>(*draft.entity);
  for (const Member* member : object.members) draft.identifiers.push_back(identifier(member->name));
  for (const Branch& branch : object.branches) {
    if (branch.implicit) continue;
    const auto& more = *TRY(identifiers(*find(branch.type->name), user));
    TRY(spend(more.size(), user));
    draft.identifiers.insert(draft.identifiers.end(), more.begin(), more.end());
  }
  std::ranges::sort(draft.identifiers);
  const auto rest = std::ranges::unique(draft.identifiers);
  draft.identifiers.erase(rest.begin(), rest.end());
  draft.has_identifiers = true;
  return &draft.identifiers;
}

Checked<> Linker::check_branch_clashes(const Draft& draft, const Seen& seen) {
  const ObjectType& object = static_cast<const ObjectType&>(*draft.entity);
  for (const Branch& branch : object.branches) {
    if (branch.implicit) continue;
    for (const std::string& name : *TRY(identifiers(*find(branch.type->name), draft))) {
      const auto other = seen.find(name);
      if (other == seen.end()) continue;
      return draft.place().refuse(fmt::format("branch '{}' has a member of type '{}' that collides with '{}' of 'base'",
                                              branch.name, branch.type->name, other->second->name));
    }
  }
  return {};
}

Checked<> Linker::check_union(Draft& draft, const Seen& seen) {
  TRY(check_discriminator(draft, seen));
  TRY(check_branches(draft));
  return check_branch_clashes(draft, seen);
}

}  // namespace pagurus::qapi_gen
