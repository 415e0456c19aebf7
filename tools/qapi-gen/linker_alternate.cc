// Alternates: each branch must be known by the kind of JSON value it is.
#include <fmt/core.h>

#include <algorithm>
#include <map>

#include "base/result.h"
#include "linker.h"
#include "names.h"

namespace pagurus::qapi_gen {
namespace {

// Of the JSON value that a type's values are; empty if that can be any.
std::string_view json_kind(const Entity& type) {
  switch (type.kind) {
    case Entity::Kind::kEnum: return "string";
    case Entity::Kind::kArray: return "array";
    case Entity::Kind::kObject: return "object";
    case Entity::Kind::kBuiltin: {
      const std::string_view kind = static_cast<const BuiltinType&>(type).json_type;
      if (kind == "value") return "";
      return kind == "int" ? std::string_view("number") : kind;
    }
    default: return "";
  }
}

bool looks_like_number(std::string_view text) { return text.find_first_of("-+0123456789.") == 0; }

std::string with_article(std::string_view kind) {
  if (kind == "null") return "null";
  return fmt::format("{} {}", kind == "array" || kind == "object" ? "an" : "a", kind);
}

// A string stands for other kinds where all values are text, as on the command line: "on" may be a
// boolean, "1" a number.
std::vector<std::string_view> conflicting_kinds(const Entity& type) {
  const std::string_view kind = json_kind(type);
  if (kind != "string") return {kind};
  if (type.kind != Entity::Kind::kEnum) return {"string", "number", "boolean"};
  const auto& members = static_cast<const EnumType&>(type).members;
  std::vector<std::string_view> kinds = {"string"};
  const auto boolean = [](const EnumMember& m) { return m.name == "on" || m.name == "off"; };
  if (std::ranges::any_of(members, boolean)) kinds.push_back("boolean");
  if (std::ranges::any_of(members, [](const EnumMember& m) { return looks_like_number(m.name); })) {
    kinds.push_back("number");
  }
  return kinds;
}

}  // namespace

Checked<> Linker::check_alternate(Draft& draft) const {
  AlternateType& alternate = static_cast<AlternateType&>(*draft.entity);
  std::unordered_map<std::string, std::string_view> names;
  std::map<std::string_view, std::string_view> kinds;  // to the branch that has it
  for (const MemberDraft& written : *draft.branches) {
    const std::string branch = fmt::format("branch '{}'", written.name);
    const Draft& type = *TRY(find_type(written.type.type_name(), draft, branch));
    const auto [other, added] = names.emplace(identifier(written.name), written.name);
    if (!added) {
      return draft.place().refuse(
          fmt::format("{} collides with branch '{}': C would not tell them apart", branch, other->second));
    }
    if (json_kind(*type.entity).empty() || type.entity.get() == schema_.empty_object) {
      return draft.place().refuse(
          fmt::format("{} cannot use {}: its values do not tell which branch they are", branch, describe(type)));
    }
    for (const std::string_view kind : conflicting_kinds(*type.entity)) {
      const auto [first, is_first] = kinds.emplace(kind, written.name);
      if (is_first) continue;
      return draft.place().refuse(fmt::format("{} can't be distinguished from branch '{}': both may be given as {}",
                                              branch, first->second, with_article(kind)));
    }
    alternate.branches.push_back({.name = written.name,
                                  .type = static_cast<const Type*>(type.entity.get()),
                                  .condition = written.condition,
                                  .at = written.at});
  }
  return {};
}

}  // namespace pagurus::qapi_gen
