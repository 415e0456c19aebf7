#include "reference.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

namespace pagurus::qapi_gen {
namespace {

using Kind = DocSection::Kind;

std::string text_of(const std::vector<Span>& spans) {
  std::string text;
  for (const Span& span : spans) text += span.text;
  return text;
}

// What stands in parentheses behind a name.
std::string remark_of(bool optional, const std::vector<Feature>& features, const std::string& condition) {
  std::string remark = optional ? "optional" : "";
  const auto add = [&](std::string_view word) { (remark += remark.empty() ? "" : ", ") += word; };
  for (const Feature& feature : features) add(feature.name);
  if (!condition.empty()) add(condition);
  return remark;
}

std::string condition_text(const Condition& condition) {
  return condition.always() ? "" : fmt::format("if {}", condition.text());
}

std::string branch_condition(const Member& discriminator, const Branch& branch) {
  std::string only = condition_text(branch.condition);
  return fmt::format("If {} is {}{}", discriminator.name, branch.name, only.empty() ? "" : ", and " + only);
}

class EntryMaker {
 public:
  explicit EntryMaker(const Entity& entity) : entity_(entity), entry_{.entity = &entity} {
    if (entity.doc == nullptr) return;
    for (const DocSection& section : entity.doc->sections) {
      if (section.kind == Kind::kMember) members_.emplace(section.name, &section);
    }
  }

  ReferenceEntry make() {
    switch (entity_.kind) {
      case Entity::Kind::kCommand: make_command(static_cast<const Command&>(entity_)); break;
      case Entity::Kind::kEvent: make_event(static_cast<const Event&>(entity_)); break;
      case Entity::Kind::kEnum: make_enum(static_cast<const EnumType&>(entity_)); break;
      case Entity::Kind::kAlternate: make_alternate(static_cast<const AlternateType&>(entity_)); break;
      case Entity::Kind::kObject: make_object(static_cast<const ObjectType&>(entity_)); break;
      case Entity::Kind::kBuiltin:
      case Entity::Kind::kArray: break;
    }
    add_documentation();
    return std::move(entry_);
  }

 private:
  std::vector<Block> text_about(std::string_view member) const {
    const auto section = members_.find(member);
    return section != members_.end() ? parse_markup(section->second->text) : std::vector<Block>();
  }

  void make_command(const Command& command) {
    entry_.kind = "Command";
    add_arguments(command.arguments);
    entry_.returns = command.returns;
    if (command.allow_oob) entry_.remarks.emplace_back("It may be executed out of band.");
    if (command.allow_preconfig) entry_.remarks.emplace_back("It may be executed before the machine is made.");
    if (!command.success_response) entry_.remarks.emplace_back("It answers only if it fails.");
  }

  void make_event(const Event& event) {
    entry_.kind = "Event";
    add_arguments(event.arguments);
  }

  void make_enum(const EnumType& type) {
    entry_.kind = "Enum";
    entry_.items_title = "Values";
    for (const EnumMember& member : type.members) {
      entry_.items.push_back({.name = member.name,
                              .remark = remark_of(false, member.features, condition_text(member.condition)),
                              .text = text_about(member.name)});
    }
  }

  void make_alternate(const AlternateType& type) {
    entry_.kind = "Alternate";
    entry_.items_title = "One of";
    for (const Branch& branch : type.branches) {
      entry_.items.push_back({.name = branch.name,
                              .remark = condition_text(branch.condition),
                              .type = branch.type,
                              .text = text_about(branch.name)});
    }
  }

  void make_object(const ObjectType& type) {
    entry_.kind = type.is_union() ? "Union" : "Struct";
    entry_.items_title = "Members";
    add_members(type);
  }

  void add_arguments(const ObjectType* arguments) {
    if (arguments == nullptr) return;
    entry_.items_title = entity_.kind == Entity::Kind::kEvent ? "Data" : "Arguments";
    if (arguments->implicit) return add_members(*arguments);
    entry_.links.push_back({.condition = "", .type = arguments});
  }

  void add_members(const ObjectType& type) {
    if (type.base != nullptr && !type.base->implicit) entry_.links.push_back({.condition = "", .type = type.base});
    if (type.base != nullptr && type.base->implicit) add(type.base->local_members);
    add(type.local_members);
    for (const Branch& branch : type.branches) {
      if (branch.implicit) continue;
      entry_.links.push_back({.condition = branch_condition(*type.discriminator, branch), .type = branch.type});
    }
  }

  void add(const std::vector<Member>& members) {
    for (const Member& member : members) {
      entry_.items.push_back({.name = member.name,
                              .remark = remark_of(member.optional, member.features, condition_text(member.condition)),
                              .type = member.type,
                              .text = text_about(member.name)});
    }
  }

  void add_documentation() {
    if (std::string condition = condition_text(entity_.condition); !condition.empty()) {
      entry_.remarks.push_back("It is there " + condition + ".");
    }
    if (entity_.doc == nullptr) return;
    bool introduction = true;
    for (const DocSection& part : entity_.doc->sections) {
      switch (part.kind) {
        case Kind::kPlain: append(introduction ? entry_.text : entry_.more, parse_markup(part.text)); break;
        case Kind::kFeature: entry_.features.push_back({.name = part.name, .text = parse_markup(part.text)}); break;
        case Kind::kReturns: append(entry_.returns_text, parse_markup(part.text)); break;
        case Kind::kErrors: append(entry_.errors, parse_markup(part.text)); break;
        case Kind::kSince: entry_.since = text_of(parse_spans(part.text)); break;
        case Kind::kMember:
        case Kind::kTodo: break;
      }
      introduction = introduction && part.kind == Kind::kPlain;
    }
    while (entry_.since.ends_with('\n') || entry_.since.ends_with(' ')) entry_.since.pop_back();
    while (entry_.since.starts_with(' ')) entry_.since.erase(0, 1);
  }

  static void append(std::vector<Block>& blocks, std::vector<Block> more) {
    blocks.insert(blocks.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
  }

  const Entity& entity_;
  std::unordered_map<std::string_view, const DocSection*> members_;  // what is said about each
  ReferenceEntry entry_;
};

std::string stem(const SourceFile& file) {
  std::string name = file.path.substr(file.path.rfind('/') + 1);
  return name.substr(0, name.rfind('.'));
}

ReferenceModule module_of(const Schema& schema, const SourceFile& file) {
  ReferenceModule module{.file = &file, .name = stem(file)};
  for (const auto& doc : schema.parsed.docs) {
    if (!doc->free_form() || doc->at.file != &file) continue;
    for (const DocSection& section : doc->sections) {
      for (Block& block : parse_markup(section.text)) {
        bool is_title = block.kind == Block::Kind::kHeading && module.title.empty();
        if (is_title)
          module.title = text_of(block.spans);
        else
          module.text.push_back(std::move(block));
      }
    }
  }
  if (module.title.empty()) module.title = module.name;
  for (const Entity* entity : schema.defined_in(file)) module.entries.push_back(EntryMaker(*entity).make());
  return module;
}

}  // namespace

std::vector<ReferenceModule> reference_of(const Schema& schema) {
  std::vector<ReferenceModule> modules;
  for (const auto& file : schema.parsed.files) {
    ReferenceModule module = module_of(schema, *file);
    if (!module.entries.empty() || modules.empty()) modules.push_back(std::move(module));
  }
  return modules;
}

std::string type_words(const Type& type) {
  if (type.kind == Entity::Kind::kArray) {
    return "array of " + type_words(*static_cast<const ArrayType&>(type).element);
  }
  if (type.kind != Entity::Kind::kBuiltin) return type.name;
  const auto& builtin = static_cast<const BuiltinType&>(type);
  if (builtin.name == "size") return "size in bytes";
  if (builtin.json_type == "int") return builtin.name == "int" ? "integer" : fmt::format("integer ({})", builtin.name);
  return builtin.json_type == "value" ? "any value" : builtin.json_type;
}

}  // namespace pagurus::qapi_gen
