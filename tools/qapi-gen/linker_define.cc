// Which entities there are, and what each is called.
#include <fmt/core.h>

#include <array>

#include "base/result.h"
#include "linker.h"

namespace pagurus::qapi_gen {
namespace {

// More than a generated bit set has room for, the two below included.
constexpr size_t kMaxFeatures = 64;
constexpr std::array<std::string_view, 2> kSpecialFeatures = {"deprecated", "unstable"};

std::string where(const Definition& definition) {
  return Diagnostic{.at = definition.place.at,
                    .context = definition.place.context,
                    .message = "here is the other definition",
                    .rule = {}}
      .text();
}

}  // namespace

Draft& Linker::add(std::unique_ptr<Entity> entity, std::string name, const Definition* definition) {
  auto draft = std::make_unique<Draft>();
  draft->definition = definition;
  if (definition != nullptr) entity->module = definition->module;
  entity->name = std::move(name);
  draft->entity = std::move(entity);
  by_name_.emplace(draft->entity->name, draft.get());
  return *drafts_.emplace_back(std::move(draft));
}

Checked<Draft*> Linker::add_named(std::unique_ptr<Entity> entity, const Definition& definition) {
  if (const Draft* other = find(definition.name)) {
    if (other->definition == nullptr) {
      return definition.place.refuse(
          fmt::format("'{}' is taken: there is a built-in type of that name", definition.name));
    }
    return definition.place.refuse(
        fmt::format("'{}' is already defined\n{}", definition.name, where(*other->definition)));
  }
  entity->at = definition.place.at;
  entity->doc = definition.doc;
  entity->condition = definition.condition;
  entity->features = definition.features;
  return &add(std::move(entity), definition.name, &definition);
}

void Linker::define_built_in_type(std::string_view name, std::string_view json_type) {
  auto type = std::make_unique<BuiltinType>();
  type->json_type = json_type;
  add(std::move(type), std::string(name), nullptr);
  define_array(std::string(name), nullptr);
}

void Linker::define_built_in() {
  define_built_in_type("str", "string");
  define_built_in_type("number", "number");
  for (const std::string_view name : {"int", "int8", "int16", "int32", "int64"}) define_built_in_type(name, "int");
  for (const std::string_view name : {"uint8", "uint16", "uint32", "uint64", "size"}) define_built_in_type(name, "int");
  define_built_in_type("bool", "boolean");
  define_built_in_type("any", "value");
  define_built_in_type("null", "null");

  auto empty = std::make_unique<ObjectType>();
  empty->implicit = true;
  schema_.empty_object = empty.get();
  Draft& draft = add(std::move(empty), "q_empty", nullptr);
  draft.state = Draft::State::kDone;

  auto qtype = std::make_unique<EnumType>();
  for (const char* name : {"none", "qnull", "qnum", "qstring", "qdict", "qlist", "qbool"}) {
    qtype->members.push_back({.name = name, .condition = {}, .features = {}, .at = {}});
  }
  add(std::move(qtype), "QType", nullptr);

  for (const std::string_view feature : kSpecialFeatures) features_.insert(feature);
}

void Linker::define_array(const std::string& element, const Definition* definition) {
  std::string name = TypeReference{.name = element, .array = true}.type_name();
  if (find(name) != nullptr) return;
  add(std::make_unique<ArrayType>(), std::move(name), definition).element = element;
}

void Linker::define_arrays(const std::vector<MemberDraft>& members, const Definition& definition) {
  for (const MemberDraft& member : members) {
    if (member.type.array) define_array(member.type.name, &definition);
  }
}

std::string Linker::define_implicit(std::string_view role, const std::vector<MemberDraft>& members,
                                    const Definition& definition) {
  define_arrays(members, definition);
  if (members.empty()) return "";
  std::string name = fmt::format("q_obj_{}-{}", definition.name, role);
  // If there is one already, then the definition itself is there twice, too, and will be refused.
  if (find(name) != nullptr) return name;
  auto type = std::make_unique<ObjectType>();
  type->implicit = true;
  type->condition = definition.condition;
  add(std::move(type), name, &definition).members = &members;
  return name;
}

void Linker::count_features(const std::vector<Feature>& features, const Definition& definition) {
  for (const Feature& feature : features) {
    if (!features_.insert(feature.name).second) continue;
    if (features_.size() == kMaxFeatures + 1) one_feature_too_many_ = &definition;
  }
}

void Linker::count_features(const Definition& definition) {
  count_features(definition.features, definition);
  for (const EnumMember& value : definition.values) count_features(value.features, definition);
  for (const MemberDraft& member : definition.base_members) count_features(member.features, definition);
  for (const MemberDraft& member : definition.members) count_features(member.features, definition);
}

Checked<> Linker::define_enum(const Definition& definition) {
  auto type = std::make_unique<EnumType>();
  type->members = definition.values;
  type->prefix = definition.prefix;
  TRY(add_named(std::move(type), definition));
  return {};
}

Checked<> Linker::define_struct(const Definition& definition) {
  define_arrays(definition.members, definition);
  Draft& draft = *TRY(add_named(std::make_unique<ObjectType>(), definition));
  draft.members = &definition.members;
  draft.base = definition.base;
  return {};
}

Checked<> Linker::define_union(const Definition& definition) {
  std::string base = definition.base;
  if (base.empty()) base = define_implicit("base", definition.base_members, definition);
  Draft& draft = *TRY(add_named(std::make_unique<ObjectType>(), definition));
  draft.base = std::move(base);
  draft.branches = &definition.members;
  return {};
}

Checked<> Linker::define_alternate(const Definition& definition) {
  define_arrays(definition.members, definition);
  Draft& draft = *TRY(add_named(std::make_unique<AlternateType>(), definition));
  draft.branches = &definition.members;
  return {};
}

Checked<> Linker::define_command(const Definition& definition) {
  std::string arguments = definition.arguments;
  if (arguments.empty()) arguments = define_implicit("arg", definition.members, definition);
  if (definition.returns && definition.returns->array) define_array(definition.returns->name, &definition);
  auto command = std::make_unique<Command>();
  command->boxed = definition.boxed;
  command->gen = definition.gen;
  command->success_response = definition.success_response;
  command->allow_oob = definition.allow_oob;
  command->allow_preconfig = definition.allow_preconfig;
  command->coroutine = definition.coroutine;
  TRY(add_named(std::move(command), definition))->arguments = std::move(arguments);
  return {};
}

Checked<> Linker::define_event(const Definition& definition) {
  std::string arguments = definition.arguments;
  if (arguments.empty()) arguments = define_implicit("arg", definition.members, definition);
  auto event = std::make_unique<Event>();
  event->boxed = definition.boxed;
  TRY(add_named(std::move(event), definition))->arguments = std::move(arguments);
  return {};
}

Checked<> Linker::define(const Definition& definition) {
  count_features(definition);
  switch (definition.meta) {
    case Meta::kEnum: return define_enum(definition);
    case Meta::kStruct: return define_struct(definition);
    case Meta::kUnion: return define_union(definition);
    case Meta::kAlternate: return define_alternate(definition);
    case Meta::kCommand: return define_command(definition);
    case Meta::kEvent: return define_event(definition);
  }
  CHECK(false, "all kinds of definitions are handled");
}

}  // namespace pagurus::qapi_gen
