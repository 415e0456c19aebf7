#include "ctl/introspection.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

namespace pagurus::ctl {

using qapi::Json;

namespace {

using Kind = Introspection::Kind;

std::string text_of(const Json& object, std::string_view name) {
  const Json* value = object.find(name);
  return value != nullptr && value->is_string() ? value->as_string() : "";
}

const Json::Array& list_of(const Json& object, std::string_view name) {
  static const Json::Array kEmpty;
  const Json* value = object.find(name);
  return value != nullptr && value->is_array() ? value->as_array() : kEmpty;
}

bool is_deprecated(const Json& object) {
  return std::ranges::find(list_of(object, "features"), Json("deprecated")) != list_of(object, "features").end();
}

Kind builtin_kind(std::string_view json_type) {
  constexpr std::pair<std::string_view, Kind> kKinds[] = {
      {"string", Kind::kString}, {"int", Kind::kInteger},   {"number", Kind::kNumber}, {"boolean", Kind::kBoolean},
      {"null", Kind::kNull},     {"object", Kind::kObject}, {"array", Kind::kArray},
  };
  auto found = std::ranges::find(kKinds, json_type, &std::pair<std::string_view, Kind>::first);
  return found == std::end(kKinds) ? Kind::kUnknown : found->second;
}

Introspection::Type object_type(const Json& entity) {
  Introspection::Type type{.kind = Kind::kObject, .discriminator = text_of(entity, "tag")};
  for (const Json& member : list_of(entity, "members")) {
    type.members.push_back({.name = text_of(member, "name"),
                            .type = text_of(member, "type"),
                            .optional = member.find("default") != nullptr,
                            .deprecated = is_deprecated(member)});
  }
  for (const Json& variant : list_of(entity, "variants")) {
    type.variants.push_back({text_of(variant, "case"), text_of(variant, "type")});
  }
  return type;
}

Introspection::Type enum_type(const Json& entity) {
  Introspection::Type type{.kind = Kind::kEnum};
  for (const Json& member : list_of(entity, "members")) type.values.push_back(text_of(member, "name"));
  return type;
}

Introspection::Type alternate_type(const Json& entity) {
  Introspection::Type type{.kind = Kind::kAlternate};
  for (const Json& member : list_of(entity, "members")) type.branches.push_back(text_of(member, "type"));
  return type;
}

Introspection::Type type_from(const Json& entity, std::string_view meta) {
  if (meta == "builtin") return {.kind = builtin_kind(text_of(entity, "json-type"))};
  if (meta == "enum") return enum_type(entity);
  if (meta == "array") return {.kind = Kind::kArray, .element = text_of(entity, "element-type")};
  if (meta == "object") return object_type(entity);
  if (meta == "alternate") return alternate_type(entity);
  return {};
}

std::string plain_description(Kind kind) {
  switch (kind) {
    case Kind::kString: return "string";
    case Kind::kInteger: return "integer";
    case Kind::kNumber: return "number";
    case Kind::kBoolean: return "on or off";
    case Kind::kNull: return "null";
    case Kind::kArray: return "list";
    case Kind::kObject: return "object";
    default: return "any value";
  }
}

}  // namespace

Result<Introspection> Introspection::from(const Json& schema) {
  if (!schema.is_array()) return fail("the server describes its commands in a way that is not understood");
  Introspection result;
  for (const Json& entity : schema.as_array()) {
    std::string meta = text_of(entity, "meta-type");
    std::string name = text_of(entity, "name");
    if (meta == "command") {
      const Json* oob = entity.find("allow-oob");
      result.commands_[name] = {.arguments = text_of(entity, "arg-type"),
                                .result = text_of(entity, "ret-type"),
                                .oob = oob != nullptr && oob->is_bool() && oob->as_bool(),
                                .deprecated = is_deprecated(entity)};
    } else if (meta != "event") {
      result.types_[name] = type_from(entity, meta);
    }
  }
  return result;
}

std::vector<std::string> Introspection::command_names() const {
  std::vector<std::string> names;
  for (const auto& [name, command] : commands_) names.push_back(name);
  return names;
}

const Introspection::Command* Introspection::command(std::string_view name) const {
  auto found = commands_.find(name);
  return found == commands_.end() ? nullptr : &found->second;
}

const Introspection::Type& Introspection::type(std::string_view name) const {
  static const Type kNone;
  auto found = types_.find(name);
  return found == types_.end() ? kNone : found->second;
}

std::vector<Introspection::Member> Introspection::members(std::string_view type_name, const Json& given) const {
  const Type* object = &type(type_name);
  if (object->kind == Kind::kAlternate) {
    for (const std::string& branch : object->branches) {
      if (type(branch).kind == Kind::kObject) object = &type(branch);
    }
  }
  std::vector<Member> members = object->members;
  std::string selected = text_of(given, object->discriminator);
  for (const Variant& variant : object->variants) {
    if (variant.value != selected) continue;
    const std::vector<Member>& more = type(variant.type).members;
    members.insert(members.end(), more.begin(), more.end());
  }
  return members;
}

std::vector<std::string> Introspection::choices(std::string_view type_name) const {
  const Type& named = type(type_name);
  if (named.kind == Kind::kEnum) return named.values;
  if (named.kind == Kind::kBoolean) return {"on", "off"};
  std::vector<std::string> choices;
  for (const std::string& branch : named.branches) {
    // An alternate has no alternates as branches; a server that says so does not send us in circles.
    if (type(branch).kind == Kind::kAlternate) continue;
    for (const std::string& choice : this->choices(branch)) {
      if (std::ranges::find(choices, choice) == choices.end()) choices.push_back(choice);
    }
  }
  return choices;
}

std::string Introspection::description(std::string_view type_name) const {
  const Type& named = type(type_name);
  if (named.kind == Kind::kEnum) return fmt::format("one of {}", fmt::join(named.values, ", "));
  if (named.kind == Kind::kArray && !named.element.empty()) {
    // One level deep: lists of lists are rare, and types may contain themselves.
    const Type& element = type(named.element);
    bool simple = element.kind != Kind::kEnum && element.kind != Kind::kArray && element.kind != Kind::kAlternate;
    if (simple) return fmt::format("list of: {}", plain_description(element.kind));
    if (element.kind == Kind::kEnum) return fmt::format("list of: {}", fmt::join(element.values, ", "));
    return "list";
  }
  if (named.kind != Kind::kAlternate) return plain_description(named.kind);
  std::vector<std::string> branches;
  for (const std::string& branch : named.branches) {
    if (type(branch).kind != Kind::kAlternate) branches.push_back(description(branch));
  }
  return fmt::format("{}", fmt::join(branches, ", or "));
}

}  // namespace pagurus::ctl
