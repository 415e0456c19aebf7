#include "linker.h"

#include <fmt/core.h>

#include "base/result.h"
#include "names.h"

namespace pagurus::qapi_gen {

std::string describe(const Draft& draft) {
  const Entity& entity = *draft.entity;
  switch (entity.kind) {
    case Entity::Kind::kBuiltin: return fmt::format("built-in type '{}'", entity.name);
    case Entity::Kind::kEnum: return fmt::format("enum type '{}'", entity.name);
    case Entity::Kind::kArray: return fmt::format("array type ['{}']", draft.element);
    case Entity::Kind::kAlternate: return fmt::format("alternate type '{}'", entity.name);
    case Entity::Kind::kCommand: return fmt::format("command '{}'", entity.name);
    case Entity::Kind::kEvent: return fmt::format("event '{}'", entity.name);
    case Entity::Kind::kObject:
      return fmt::format("{} type '{}'", draft.branches != nullptr ? "union" : "struct", entity.name);
  }
  CHECK(false, "all kinds of entities are handled");
}

const Feature* repeated(const std::vector<Feature>& features) {
  std::unordered_set<std::string> seen;
  for (const Feature& feature : features) {
    if (!seen.insert(identifier(feature.name)).second) return &feature;
  }
  return nullptr;
}

Draft* Linker::find(std::string_view name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : found->second;
}

Checked<Draft*> Linker::find_type(const std::string& name, const Draft& user, std::string_view what) const {
  Draft* found = find(name);
  if (found != nullptr && found->entity->is_type()) return found;
  std::string message = fmt::format("{} uses unknown type '{}'", what, name);
  if (found != nullptr) message += fmt::format(": that is {}", describe(*found));
  if (name.ends_with("List") && find(name.substr(0, name.size() - 4)) != nullptr) {
    message += fmt::format(": an array is written ['{}']", name.substr(0, name.size() - 4));
  }
  return user.place().refuse(std::move(message));
}

Checked<Draft*> Linker::find_value_type(const std::string& name, const Draft& user, std::string_view what) const {
  Draft* found = TRY(find_type(name, user, what));
  if (!found->implicit_object()) return found;
  return user.place().refuse(
      fmt::format("{} cannot use '{}', a type that the compiler made: give a type of its own name", what, name));
}

Checked<> Linker::check_features(const Draft& draft) const {
  const Entity& entity = *draft.entity;
  if (const Feature* feature = repeated(entity.features)) {
    return draft.place().refuse(fmt::format("feature '{}' is there twice", feature->name));
  }
  if (!entity.is_type()) return {};
  for (const std::string_view special : {"deprecated", "unstable"}) {
    if (!entity.has_feature(special)) continue;
    return draft.place().refuse(
        fmt::format("feature '{}' is not supported for types: put it to the members that have the type", special));
  }
  return {};
}

Checked<> Linker::check_enum(const Draft& draft) const {
  std::unordered_map<std::string, const EnumMember*> seen;
  for (const EnumMember& value : static_cast<const EnumType&>(*draft.entity).members) {
    const auto [other, added] = seen.emplace(identifier(value.name), &value);
    if (added) continue;
    const std::string& first = other->second->name;
    if (first == value.name) return draft.place().refuse(fmt::format("value '{}' is there twice", value.name));
    return draft.place().refuse(
        fmt::format("value '{}' collides with value '{}': C would not tell them apart", value.name, first));
  }
  return {};
}

Checked<> Linker::check_array(Draft& draft) const {
  const std::string what(draft.definition != nullptr ? to_string(draft.definition->meta) : "array");
  const Draft& element = *TRY(find_value_type(draft.element, draft, what));
  if (element.entity->kind == Entity::Kind::kArray) {
    return draft.place().refuse(
        fmt::format("{} uses an array of arrays, ['{}']: wrap the inner one into a struct", what, draft.element));
  }
  ArrayType& array = static_cast<ArrayType&>(*draft.entity);
  array.element = static_cast<const Type*>(element.entity.get());
  array.module = element.entity->module;
  array.condition = element.entity->condition;
  return {};
}

Checked<> Linker::check(Draft& draft) {
  if (draft.entity->kind == Entity::Kind::kObject) return check_object(draft);
  TRY(check_features(draft));
  switch (draft.entity->kind) {
    case Entity::Kind::kEnum: return check_enum(draft);
    case Entity::Kind::kArray: return check_array(draft);
    case Entity::Kind::kAlternate: return check_alternate(draft);
    case Entity::Kind::kCommand: return check_command(draft);
    case Entity::Kind::kEvent: return check_event(draft);
    default: return {};
  }
}

Checked<> Linker::check_feature_count() const {
  if (one_feature_too_many_ == nullptr) return {};
  return one_feature_too_many_->place.refuse(
      "too many features: a schema may have 64 different ones, 'deprecated' and 'unstable' included");
}

void Linker::finish() {
  schema_.entities.reserve(drafts_.size());
  for (const auto& draft : drafts_) {
    schema_.by_name.emplace(draft->entity->name, draft->entity.get());
    schema_.entities.push_back(std::move(draft->entity));
  }
}

Checked<> Linker::link(const std::vector<Definition>& definitions) {
  define_built_in();
  for (const Definition& definition : definitions) TRY(define(definition));
  for (const auto& draft : drafts_) {
    TRY(check(*draft));
    TRY(connect_docs(*draft));
  }
  TRY(docs_.check_all());
  TRY(check_feature_count());
  finish();
  return {};
}

}  // namespace pagurus::qapi_gen
