#include "emit_introspect.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>
#include <unordered_map>
#include <unordered_set>

#include "base/result.h"
#include "json_pieces.h"

namespace pagurus::qapi_gen {
namespace {

using Kind = Entity::Kind;

struct Info {
  JsonPieces json;
  Condition condition;
};

std::string_view meta_type(Kind kind) {
  switch (kind) {
    case Kind::kBuiltin: return "builtin";
    case Kind::kEnum: return "enum";
    case Kind::kArray: return "array";
    case Kind::kObject: return "object";
    case Kind::kAlternate: return "alternate";
    case Kind::kCommand: return "command";
    case Kind::kEvent: return "event";
  }
  CHECK(false, "all kinds of entities are handled");
}

bool is_integer(const Type& type) {
  return type.kind == Kind::kBuiltin && static_cast<const BuiltinType&>(type).json_type == "int";
}

// As the definition lists them, and then the discriminator's values that it does not mention.
std::vector<Branch> in_written_order(std::vector<Branch> branches) {
  std::ranges::stable_sort(branches, {}, [](const Branch& branch) {
    return std::tuple(branch.implicit, branch.implicit ? 0 : branch.at.line, branch.implicit ? 0 : branch.at.column);
  });
  return branches;
}

class Introspection {
 public:
  explicit Introspection(const Schema& schema) : schema_(schema) {}

  JsonPieces write() {
    std::vector<Info> infos;
    for (const auto& entity : schema_.entities) {
      if (!entity->is_type()) infos.push_back(info(*entity));
    }
    // What a type uses is appended while the type is written.
    for (size_t i = 0; i < used_.size(); ++i) infos.push_back(info(*used_[i]));
    JsonPieces json;
    json.add_list(
        infos,
        [&](const Info& one) {
          json.add(one.json);
          json.add("\n");
        },
        [](const Info& one) -> const Condition& { return one.condition; });
    return json;
  }

 private:
  Info info(const Entity& entity) {
    JsonPieces json;
    json.add("{\"name\":");
    // The name comes first in the text, the types it uses come first in their numbering: as QEMU does it.
    JsonPieces rest = rest_of(entity);
    json.add_string(entity.is_type() ? name_of(static_cast<const Type&>(entity)) : entity.name);
    json.add(fmt::format(",\"meta-type\":\"{}\"", meta_type(entity.kind)));
    json.add(rest);
    add_features(json, entity.features);
    json.add("}");
    return {.json = std::move(json), .condition = entity.condition};
  }

  JsonPieces rest_of(const Entity& entity) {
    JsonPieces json;
    switch (entity.kind) {
      case Kind::kBuiltin: add_text(json, "json-type", static_cast<const BuiltinType&>(entity).json_type); break;
      case Kind::kEnum: add_enum(json, static_cast<const EnumType&>(entity)); break;
      case Kind::kArray: add_text(json, "element-type", use(*static_cast<const ArrayType&>(entity).element)); break;
      case Kind::kObject: add_object(json, static_cast<const ObjectType&>(entity)); break;
      case Kind::kAlternate: add_alternate(json, static_cast<const AlternateType&>(entity)); break;
      case Kind::kCommand: add_command(json, static_cast<const Command&>(entity)); break;
      case Kind::kEvent: add_text(json, "arg-type", use_or_empty(static_cast<const Event&>(entity).arguments)); break;
    }
    return json;
  }

  static void add_text(JsonPieces& json, std::string_view key, std::string_view text) {
    json.add(fmt::format(",\"{}\":", key));
    json.add_string(text);
  }

  static void add_features(JsonPieces& json, const std::vector<Feature>& features) {
    if (features.empty()) return;
    json.add(",\"features\":");
    json.add_list(
        features, [&](const Feature& feature) { json.add_string(feature.name); },
        [](const Feature& feature) -> const Condition& { return feature.condition; });
  }

  static void add_enum(JsonPieces& json, const EnumType& type) {
    const auto condition_of = [](const EnumMember& value) -> const Condition& { return value.condition; };
    json.add(",\"members\":");
    json.add_list(
        type.members,
        [&](const EnumMember& value) {
          json.add("{\"name\":");
          json.add_string(value.name);
          add_features(json, value.features);
          json.add("}");
        },
        condition_of);
    json.add(",\"values\":");
    json.add_list(
        type.members, [&](const EnumMember& value) { json.add_string(value.name); }, condition_of);
  }

  void add_object(JsonPieces& json, const ObjectType& type) {
    json.add(",\"members\":");
    json.add_list(
        type.members,
        [&](const Member* member) {
          json.add("{\"name\":");
          json.add_string(member->name);
          add_text(json, "type", use(*member->type));
          if (member->optional) json.add(",\"default\":null");
          add_features(json, member->features);
          json.add("}");
        },
        [](const Member* member) -> const Condition& { return member->condition; });
    if (!type.is_union()) return;
    add_text(json, "tag", type.discriminator->name);
    json.add(",\"variants\":");
    json.add_list(
        in_written_order(type.branches),
        [&](const Branch& branch) {
          json.add("{\"case\":");
          json.add_string(branch.name);
          add_text(json, "type", use(*branch.type));
          json.add("}");
        },
        [](const Branch& branch) -> const Condition& { return branch.condition; });
  }

  void add_alternate(JsonPieces& json, const AlternateType& type) {
    json.add(",\"members\":");
    json.add_list(
        type.branches,
        [&](const Branch& branch) {
          json.add("{\"type\":");
          json.add_string(use(*branch.type));
          json.add("}");
        },
        [](const Branch& branch) -> const Condition& { return branch.condition; });
  }

  void add_command(JsonPieces& json, const Command& command) {
    add_text(json, "arg-type", use_or_empty(command.arguments));
    add_text(json, "ret-type", use_or_empty(command.returns));
    if (command.allow_oob) json.add(",\"allow-oob\":true");
  }

  std::string use_or_empty(const Type* type) { return use(type != nullptr ? *type : *schema_.empty_object); }

  // The name by which the type can be referred to; all integers are "int".
  std::string use(const Type& type) {
    const bool integers = type.kind == Kind::kArray && is_integer(*static_cast<const ArrayType&>(type).element);
    const Type& plain = is_integer(type) ? built_in("int") : integers ? built_in("intList") : type;
    if (known_.insert(&plain).second) used_.push_back(&plain);
    if (plain.kind == Kind::kArray) use(*static_cast<const ArrayType&>(plain).element);
    return name_of(plain);
  }

  std::string name_of(const Type& type) {
    if (type.kind == Kind::kBuiltin) return type.name;
    if (type.kind == Kind::kArray) return fmt::format("[{}]", name_of(*static_cast<const ArrayType&>(type).element));
    return std::to_string(numbers_.try_emplace(&type, numbers_.size()).first->second);
  }

  const Type& built_in(std::string_view name) const {
    const auto found = schema_.by_name.find(name);
    CHECK(found != schema_.by_name.end(), "every schema has the built-in types");
    return static_cast<const Type&>(*found->second);
  }

  const Schema& schema_;
  std::vector<const Type*> used_;
  std::unordered_set<const Type*> known_;
  std::unordered_map<const Type*, size_t> numbers_;
};

constexpr std::string_view kHeader =
    R"(// What query-qmp-schema answers.  Generated by qapi-gen; edit the schema instead.
#pragma once

#include <string_view>

namespace pagurus::schema {

// A JSON array of SchemaInfo.
std::string_view introspection();

}  // namespace pagurus::schema
)";

constexpr std::string_view kSource =
    R"(// What query-qmp-schema answers.  Generated by qapi-gen; edit the schema instead.
#include "schema/introspection.h"

namespace pagurus::schema {{

std::string_view introspection() {{
  static constexpr char kText[] =
{}      "";
  return {{kText, sizeof kText - 1}};
}}

}}  // namespace pagurus::schema
)";

}  // namespace

Checked<std::vector<OutputFile>> emit_introspect(const Schema& schema) {
  const JsonPieces json = Introspection(schema).write();
  return std::vector<OutputFile>{
      {.path = "schema/introspection.h", .text = std::string(kHeader)},
      {.path = "schema/introspection.cc", .text = fmt::format(kSource, json.lines("      "))}};
}

}  // namespace pagurus::qapi_gen
