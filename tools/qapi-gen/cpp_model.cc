#include "cpp_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>

#include "c_names.h"

namespace pagurus::qapi_gen {
namespace {

using Kind = Entity::Kind;

std::unexpected<Diagnostic> refuse(Position at, std::string message) {
  return std::unexpected(Diagnostic{.at = at, .context = {}, .message = std::move(message), .rule = {}});
}

// Types that a value holds in itself, not in a list.
std::vector<const Type*> embedded_types(const Type& type) {
  std::vector<const Type*> result;
  auto add = [&](const Type& held) {
    if (held.kind != Kind::kArray && held.kind != Kind::kBuiltin) result.push_back(&held);
  };
  if (type.kind == Kind::kObject) {
    const auto& object = static_cast<const ObjectType&>(type);
    for (const Member* member : object.members) add(*member->type);
    for (const Branch& branch : object.branches) add(*branch.type);
  } else if (type.kind == Kind::kAlternate) {
    for (const Branch& branch : static_cast<const AlternateType&>(type).branches) add(*branch.type);
  }
  return result;
}

// Whether `from` embeds `to`, directly or through others.
bool embeds(const Type& from, const Type& to, std::set<const Type*>& seen) {
  for (const Type* held : embedded_types(from)) {
    if (held == &to) return true;
    if (seen.insert(held).second && embeds(*held, to, seen)) return true;
  }
  return false;
}

void find_boxes(const Schema& schema, CppModel& model) {
  for (const auto& entity : schema.entities) {
    if (entity->kind != Kind::kObject && entity->kind != Kind::kAlternate) continue;
    const auto& holder = static_cast<const Type&>(*entity);
    for (const Type* held : embedded_types(holder)) {
      std::set<const Type*> seen;
      if (held == &holder || embeds(*held, holder, seen)) model.boxed.insert({&holder, held});
    }
  }
}

// Depth first, so that what a type holds is complete before it.  Boxes break the cycles of embedding;
// those through lists are broken anywhere, a list may hold what is only declared.
void sort_types(const CppModel& model, CppModule& module) {
  std::set<const Type*> here(module.types.begin(), module.types.end());
  std::set<const Type*> seen;
  std::vector<const Type*> sorted;
  std::function<void(const Type&)> place = [&](const Type& type) {
    if (!here.contains(&type) || !seen.insert(&type).second) return;
    for (const Type* held : embedded_types(type)) {
      if (!model.is_boxed(type, *held)) place(*held);
    }
    sorted.push_back(&type);
  };
  for (const Type* type : module.types) {
    if (type->kind == Kind::kEnum) place(*type);
  }
  for (const Type* type : module.types) {
    if (type->kind != Kind::kEnum) place(*type);
  }
  module.types = std::move(sorted);
}

void note_uses(CppModule& module) {
  for (const Type* type : module.types) {
    for (const Type* held : held_types(*type)) {
      if (held->module != nullptr && held->module != module.file) module.uses.insert(module_stem(*held->module));
    }
  }
}

Checked<> check_stems(const CppModel& model) {
  std::map<std::string, const SourceFile*> stems;
  for (const CppModule& module : model.modules) {
    for (std::string_view reserved : {"options", "introspection", "all_types"}) {
      if (module.stem != reserved) continue;
      return refuse({.file = module.file, .line = 1},
                    fmt::format("the files generated for it would be called schema/{}.h, as another one is; rename it",
                                reserved));
    }
    auto [place, added] = stems.try_emplace(module.stem, module.file);
    if (added) continue;
    return refuse({.file = module.file, .line = 1},
                  fmt::format("the files generated for it would be called as those of '{}'; rename one of the two",
                              place->second->path));
  }
  return {};
}

Checked<> check_module_cycles(const CppModel& model) {
  std::map<std::string, const CppModule*> by_stem;
  for (const CppModule& module : model.modules) by_stem[module.stem] = &module;
  std::set<std::string> done, open;
  std::function<Checked<>(const CppModule&)> check = [&](const CppModule& module) -> Checked<> {
    open.insert(module.stem);
    for (const std::string& used : module.uses) {
      if (open.contains(used)) {
        return refuse(
            {.file = module.file, .line = 1},
            fmt::format("it uses types of '{}', which uses its types in turn; move what both use to one of them",
                        by_stem.at(used)->file->path));
      }
      if (done.contains(used)) continue;
      if (auto checked = check(*by_stem.at(used)); !checked) return checked;
    }
    open.erase(module.stem);
    done.insert(module.stem);
    return {};
  };
  for (const CppModule& module : model.modules) {
    if (auto checked = check(module); !checked) return checked;
  }
  return {};
}

Checked<> check_type(const Type& type) {
  if (type.kind == Kind::kEnum) {
    std::map<std::string, std::string> names;
    for (const EnumMember& member : static_cast<const EnumType&>(type).members) {
      auto [place, added] = names.try_emplace(enumerator(member.name), member.name);
      if (!added) {
        return refuse(member.at, fmt::format("values '{}' and '{}' of enum '{}' would both be called {} in C++",
                                             place->second, member.name, type.name, place->first));
      }
    }
  }
  for (const Type* held : held_types(type)) {
    if (held->module == nullptr) {
      return refuse(type.at,
                    fmt::format("'{}' holds the built-in type '{}', which has no form in C++", type.name, held->name));
    }
  }
  return {};
}

Checked<> check_union(const ObjectType& type) {
  auto unconditional = [](const EnumMember& member) { return member.condition.always(); };
  const auto& tags = static_cast<const EnumType&>(*type.discriminator->type);
  if (std::ranges::any_of(tags.members, unconditional)) return {};
  return refuse(type.at, fmt::format("every value of '{}' is conditional, so that union '{}' may have none; one must "
                                     "always be there",
                                     tags.name, type.name));
}

Checked<> check_names(const Schema& schema) {
  std::map<std::string, std::string> types;
  for (const auto& entity : schema.entities) {
    if (entity->is_type() && entity->kind != Kind::kArray) types.try_emplace(cpp_type_name(entity->name), entity->name);
  }
  auto check = [&](const Entity& entity, const ObjectType* arguments, const std::string& name) -> Checked<> {
    if (arguments == nullptr || !arguments->implicit || types.try_emplace(name, entity.name).second) return {};
    return refuse(entity.at,
                  fmt::format("the arguments of '{}' would be called {} in C++ as '{}' is; rename one of the two",
                              entity.name, name, types.at(name)));
  };
  for (const auto& entity : schema.entities) {
    Checked<> checked;
    if (entity->kind == Kind::kCommand) {
      const auto& command = static_cast<const Command&>(*entity);
      checked = check(command, command.arguments, arguments_name(command));
    } else if (entity->kind == Kind::kEvent) {
      const auto& event = static_cast<const Event&>(*entity);
      checked = check(event, event.arguments, arguments_name(event));
    } else if (entity->module != nullptr) {
      checked = check_type(static_cast<const Type&>(*entity));
      if (checked && entity->kind == Kind::kObject && static_cast<const ObjectType&>(*entity).is_union())
        checked = check_union(static_cast<const ObjectType&>(*entity));
    }
    if (!checked) return checked;
  }
  return {};
}

CppModule make_module(const Schema& schema, const SourceFile& file) {
  CppModule module{.file = &file, .stem = module_stem(file), .types = {}, .commands = {}, .events = {}, .uses = {}};
  for (const Entity* entity : schema.defined_in(file)) {
    if (entity->kind == Kind::kCommand)
      module.commands.push_back(static_cast<const Command*>(entity));
    else if (entity->kind == Kind::kEvent)
      module.events.push_back(static_cast<const Event*>(entity));
    else if (entity->kind != Kind::kArray)
      module.types.push_back(static_cast<const Type*>(entity));
  }
  return module;
}

std::string arguments_name(const Entity& entity, const ObjectType* arguments, std::string_view suffix) {
  if (arguments != nullptr && !arguments->implicit) return cpp_type_name(arguments->name);
  return camel_name(entity.name) + std::string(suffix);
}

}  // namespace

std::vector<const Type*> held_types(const Type& type) {
  std::vector<const Type*> result;
  auto add = [&](const Type& held) {
    const Type& element = element_type(held);
    bool empty = element.kind == Kind::kObject && element.module == nullptr;
    if (element.kind != Kind::kBuiltin && !empty) result.push_back(&element);
  };
  if (type.kind == Kind::kObject) {
    const auto& object = static_cast<const ObjectType&>(type);
    for (const Member* member : object.members) add(*member->type);
    for (const Branch& branch : object.branches) add(*branch.type);
  } else if (type.kind == Kind::kAlternate) {
    for (const Branch& branch : static_cast<const AlternateType&>(type).branches) add(*branch.type);
  } else if (type.kind == Kind::kArray) {
    add(type);
  }
  return result;
}

std::string arguments_name(const Command& command) { return arguments_name(command, command.arguments, "Arguments"); }
std::string arguments_name(const Event& event) { return arguments_name(event, event.arguments, "Event"); }

Checked<CppModel> make_cpp_model(const Schema& schema) {
  CppModel model{.schema = &schema, .modules = {}, .boxed = {}};
  if (auto checked = check_names(schema); !checked) return std::unexpected(checked.error());
  find_boxes(schema, model);
  for (const auto& file : schema.parsed.files) {
    CppModule module = make_module(schema, *file);
    sort_types(model, module);
    note_uses(module);
    model.modules.push_back(std::move(module));
  }
  if (auto checked = check_stems(model); !checked) return std::unexpected(checked.error());
  if (auto checked = check_module_cycles(model); !checked) return std::unexpected(checked.error());
  return model;
}

}  // namespace pagurus::qapi_gen
