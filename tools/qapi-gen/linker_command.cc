// Commands and events: what may be their arguments, and what a command may return.
#include <fmt/core.h>

#include <algorithm>

#include "base/result.h"
#include "linker.h"

namespace pagurus::qapi_gen {

Checked<const ObjectType*> Linker::check_arguments(const Draft& draft, bool boxed) {
  if (draft.arguments.empty()) return nullptr;
  const std::string_view meta = to_string(draft.definition->meta);
  const std::string what = fmt::format("{}'s 'data'", meta);
  Draft& type = *TRY(boxed ? find_value_type(draft.arguments, draft, what) : find_type(draft.arguments, draft, what));
  if (type.entity->kind != Entity::Kind::kObject) {
    return draft.place().refuse(
        fmt::format("{} cannot take {}: arguments are a struct or a union", what, describe(type)));
  }
  if (type.branches != nullptr && !boxed) {
    return draft.place().refuse(fmt::format("{} can take {} only with 'boxed': true", what, describe(type)));
  }
  TRY(check_object(type));
  const ObjectType& object = static_cast<const ObjectType&>(*type.entity);
  const bool conditional = std::ranges::any_of(object.members, [](const Member* m) { return !m->condition.always(); });
  if (conditional && !boxed) {
    return draft.place().refuse(
        fmt::format("conditional {} arguments require 'boxed': true and a struct of its own for 'data'", meta));
  }
  return &object;
}

Checked<const Type*> Linker::check_returns(const Draft& draft) const {
  const auto& returns = draft.definition->returns;
  if (!returns || returns->type_name().empty()) return nullptr;
  const Draft& type = *TRY(find_value_type(returns->type_name(), draft, "command's 'returns'"));
  const Type* result = static_cast<const Type*>(type.entity.get());
  if (schema_.parsed.pragmas.command_returns_exceptions.contains(draft.entity->name)) return result;
  const Draft* element = &type;
  if (type.entity->kind == Entity::Kind::kArray) element = find(type.element);
  if (element != nullptr && element->entity->kind == Entity::Kind::kObject) return result;
  return draft.place().refuse(fmt::format(
      "command's 'returns' cannot take {}: only structs, unions and arrays of them can grow later", describe(type)));
}

Checked<> Linker::check_command(Draft& draft) {
  Command& command = static_cast<Command&>(*draft.entity);
  command.arguments = TRY(check_arguments(draft, command.boxed));
  command.returns = TRY(check_returns(draft));
  return {};
}

Checked<> Linker::check_event(Draft& draft) {
  Event& event = static_cast<Event&>(*draft.entity);
  event.arguments = TRY(check_arguments(draft, event.boxed));
  return {};
}

}  // namespace pagurus::qapi_gen
