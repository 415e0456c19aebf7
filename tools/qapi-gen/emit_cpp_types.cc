#include "emit_cpp_types.h"

#include <fmt/format.h>

#include <algorithm>

#include "c_names.h"
#include "doc_text.h"

namespace pagurus::qapi_gen {
namespace {

using Kind = Entity::Kind;

// The member's C++ type, with what makes it optional and what breaks a cycle.
std::string held_type(const CppModel* model, const Type& holder, const Type& held) {
  bool boxed = model != nullptr && model->is_boxed(holder, held);
  return boxed ? fmt::format("qapi::Box<{}>", cpp_type(held)) : cpp_type(held);
}

std::string initializer(const Type& type) {
  if (type.kind == Kind::kEnum) return "{}";
  if (type.kind != Kind::kBuiltin || type.name == "str" || type.name == "any" || type.name == "null") return {};
  if (type.name == "bool") return " = false";
  return " = 0";
}

// The union's own name for what holds its branches is taken.
std::string member_name(const ObjectType& type, const Member& member) {
  std::string name = cpp_name(member.name);
  return type.is_union() && name == "branch" ? "branch_" : name;
}

void declare_members(CppWriter& out, const CppModel* model, const ObjectType& type) {
  for (const Member* member : type.members) {
    if (member == type.discriminator) continue;
    std::string held = held_type(model, type, *member->type);
    out.open_if(member->condition);
    out.line(member->optional
                 ? fmt::format("  std::optional<{}> {};", held, member_name(type, *member))
                 : fmt::format("  {} {}{};", held, member_name(type, *member), initializer(*member->type)));
    out.close_if(member->condition);
  }
}

struct Alternative {
  std::string type;
  Condition condition;
  Condition empty_unless = {};  // of a branch whose value stays without it
};

// Around the first alternative that is always there, the others bring their own commas.
void declare_variant(CppWriter& out, const std::vector<Alternative>& alternatives, std::string_view name) {
  auto pivot = std::ranges::find_if(alternatives, [](const auto& one) { return one.condition.always(); });
  bool plain = std::ranges::all_of(alternatives,
                                   [](const auto& one) { return one.condition.always() && one.empty_unless.always(); });
  std::string line = "  std::variant<";
  if (plain) {
    for (const Alternative& one : alternatives) line += (&one == &alternatives.front() ? "" : ", ") + one.type;
    return out.line(line + fmt::format("> {};", name));
  }
  out.line(line);
  for (auto one = alternatives.begin(); one != alternatives.end(); ++one) {
    std::string_view before = one <= pivot ? "" : ", ";
    std::string_view after = one < pivot ? "," : "";
    out.open_if(one->condition);
    out.open_if(one->empty_unless);
    out.line(fmt::format("      {}{}{}", before, one->type, after));
    if (!one->empty_unless.always()) out.line(fmt::format("#else\n      {}qapi::Empty{}", before, after));
    out.close_if(one->empty_unless);
    out.close_if(one->condition);
  }
  out.line(fmt::format("      > {};", name));
}

// One value of a union's discriminator.  The branch is there as long as the value is; where the branch's
// own condition fails, it is empty.
struct UnionCase {
  const EnumMember* tag = nullptr;
  const Type* adds = nullptr;  // null: nothing
  Condition own_condition = {};
};

// In the enum's order, which is that of the variant's alternatives.
std::vector<UnionCase> union_cases(const ObjectType& type) {
  std::vector<UnionCase> cases;
  for (const EnumMember& tag : static_cast<const EnumType&>(*type.discriminator->type).members) {
    UnionCase& one = cases.emplace_back(UnionCase{.tag = &tag});
    auto branch = std::ranges::find(type.branches, tag.name, &Branch::name);
    if (branch == type.branches.end() || branch->type->module == nullptr) continue;
    one.adds = branch->type;
    bool own = !branch->condition.always() && branch->condition.text() != tag.condition.text();
    if (own) one.own_condition = branch->condition;
  }
  return cases;
}

void declare_branches(CppWriter& out, const CppModel& model, const ObjectType& type) {
  std::string tag_type = cpp_type(*type.discriminator->type);
  std::vector<Alternative> alternatives;
  std::vector<UnionCase> cases = union_cases(type);
  for (const UnionCase& one : cases) {
    std::string held = one.adds != nullptr ? held_type(&model, type, *one.adds) : "qapi::Empty";
    alternatives.push_back({std::move(held), one.tag->condition, one.own_condition});
  }
  declare_variant(out, alternatives, "branch");
  out.line();
  out.line(fmt::format("  {} {}() const {{ return static_cast<{}>(branch.index()); }}", tag_type,
                       cpp_name(type.discriminator->name), tag_type));
  for (const UnionCase& one : cases) {
    if (one.adds == nullptr) continue;
    out.open_if(one.tag->condition);
    out.open_if(one.own_condition);
    out.line(fmt::format("  const {}* {}() const {{ return qapi::get_branch<{}::{}>(branch); }}", cpp_type(*one.adds),
                         cpp_name("as_" + one.tag->name), tag_type, enumerator(one.tag->name)));
    out.close_if(one.own_condition);
    out.close_if(one.tag->condition);
  }
}

void declare_visit(CppWriter& out, std::string_view name) {
  out.line(fmt::format("Result<void> visit(qapi::Visitor& visitor, std::string_view name, {}& value);", name));
}

void declare_visit_members(CppWriter& out, std::string_view name) {
  out.line(fmt::format("Result<void> visit_members(qapi::Visitor& visitor, {}& value);", name));
}

void declare_enum(CppWriter& out, const EnumType& type) {
  std::string name = cpp_type_name(type.name);
  out.line(fmt::format("enum class {} {{", name));
  for (const EnumMember& member : type.members) {
    out.open_if(member.condition);
    out.line(fmt::format("  {},", enumerator(member.name)));
    out.close_if(member.condition);
  }
  out.line("};");
  out.line("// All values of the argument's type, in order, as the schema calls them.");
  out.line(fmt::format("std::span<const std::string_view> enum_names({});", name));
  out.line(fmt::format("std::string_view to_string({} value);", name));
  declare_visit(out, name);
}

void declare_alternate(CppWriter& out, const CppModel& model, const AlternateType& type) {
  std::string name = cpp_type_name(type.name);
  out.line(fmt::format("struct {} {{", name));
  out.line("  enum class Form {");
  std::vector<Alternative> alternatives;
  for (const Branch& branch : type.branches) {
    out.open_if(branch.condition);
    out.line(fmt::format("    {},", enumerator(branch.name)));
    out.close_if(branch.condition);
    alternatives.push_back({held_type(&model, type, *branch.type), branch.condition});
  }
  out.line("  };");
  declare_variant(out, alternatives, "value");
  out.line();
  out.line("  Form form() const { return static_cast<Form>(value.index()); }");
  for (const Branch& branch : type.branches) {
    out.open_if(branch.condition);
    out.line(fmt::format("  const {}* {}() const {{ return qapi::get_branch<Form::{}>(value); }}",
                         cpp_type(*branch.type), cpp_name("as_" + branch.name), enumerator(branch.name)));
    out.close_if(branch.condition);
  }
  out.line(fmt::format("  bool operator==(const {}&) const = default;", name));
  out.line("};");
  declare_visit(out, name);
}

void declare_object(CppWriter& out, const CppModel* model, const ObjectType& type, std::string_view name) {
  out.line(fmt::format("struct {} {{", name));
  declare_members(out, model, type);
  if (type.is_union()) declare_branches(out, *model, type);
  if (!type.empty()) out.line();
  out.line(fmt::format("  bool operator==(const {}&) const = default;", name));
  out.line("};");
  declare_visit(out, name);
  declare_visit_members(out, name);
}

void define_enum(CppWriter& out, const EnumType& type) {
  std::string name = cpp_type_name(type.name);
  // An array cannot be empty, so one value more ends one that might be.
  bool sentinel = std::ranges::none_of(type.members, [](const EnumMember& one) { return one.condition.always(); });
  out.line(fmt::format("std::span<const std::string_view> enum_names({}) {{", name));
  out.line("  static constexpr std::string_view kNames[] = {");
  for (const EnumMember& member : type.members) {
    out.open_if(member.condition);
    out.line(fmt::format("      {},", cpp_string(member.name)));
    out.close_if(member.condition);
  }
  if (sentinel) out.line("      {},");
  out.line("  };");
  out.line(sentinel ? "  return std::span(kNames).first(std::size(kNames) - 1);" : "  return kNames;");
  out.line("}");
  out.line(fmt::format(
      "std::string_view to_string({} value) {{ return enum_names(value)[static_cast<size_t>(value)]; }}", name));
  out.line(fmt::format("Result<void> visit(qapi::Visitor& visitor, std::string_view name, {}& value) {{", name));
  out.line("  return qapi::visit_enum(visitor, name, value, enum_names(value));");
  out.line("}");
}

std::string_view alternative_kind(const Type& type) {
  switch (type.kind) {
    case Kind::kEnum: return "kEnum";
    case Kind::kArray: return "kList";
    case Kind::kBuiltin: break;
    default: return "kObject";
  }
  if (type.name == "str") return "kString";
  if (type.name == "bool") return "kBool";
  if (type.name == "null") return "kNull";
  return type.name == "number" ? "kNumber" : "kInteger";
}

void define_alternate(CppWriter& out, const AlternateType& type) {
  std::string name = cpp_type_name(type.name);
  out.line(fmt::format("Result<void> visit(qapi::Visitor& visitor, std::string_view name, {}& value) {{", name));
  out.line("  const qapi::Alternative forms[] = {");
  for (const Branch& branch : type.branches) {
    std::string names =
        branch.type->kind == Kind::kEnum ? fmt::format("enum_names({}())", cpp_type(*branch.type)) : "{}";
    out.open_if(branch.condition);
    out.line(fmt::format("      {{.kind = qapi::Alternative::Kind::{}, .names = {}}},", alternative_kind(*branch.type),
                         names));
    out.close_if(branch.condition);
  }
  out.line("  };");
  out.line("  size_t chosen = TRY(visitor.choose(name, forms, value.value.index()));");
  out.line(fmt::format("  using Form = {}::Form;", name));
  out.line("  switch (static_cast<Form>(chosen)) {");
  for (const Branch& branch : type.branches) {
    out.open_if(branch.condition);
    out.line(fmt::format("    case Form::{}:", enumerator(branch.name)));
    out.line(fmt::format("      return {}(visitor, name, qapi::visited_branch<Form::{}>(visitor, value.value));",
                         is_size(*branch.type) ? "visit_size" : "visit", enumerator(branch.name)));
    out.close_if(branch.condition);
  }
  out.line("  }");
  out.line("  return {};");
  out.line("}");
}

void define_branches(CppWriter& out, const ObjectType& type) {
  std::string tag_type = cpp_type(*type.discriminator->type);
  out.line("  switch (tag) {");
  for (const UnionCase& one : union_cases(type)) {
    std::string value = fmt::format("{}::{}", tag_type, enumerator(one.tag->name));
    out.open_if(one.tag->condition);
    out.line(fmt::format("    case {}:", value));
    out.line(
        fmt::format("      return visit_members(visitor, qapi::visited_branch<{}>(visitor, value.branch));", value));
    out.close_if(one.tag->condition);
  }
  out.line("  }");
}

void define_members(CppWriter& out, const ObjectType& type) {
  for (const Member* member : type.members) {
    out.open_if(member->condition);
    if (member == type.discriminator) {
      out.line(fmt::format("  auto tag = value.{}();", cpp_name(member->name)));
      out.line(fmt::format("  TRY(visit(visitor, {}, tag));", cpp_string(member->name)));
    } else {
      out.line(fmt::format("  TRY({}(visitor, {}, value.{}));", is_size(*member->type) ? "visit_size" : "visit",
                           cpp_string(member->name), member_name(type, *member)));
    }
    out.close_if(member->condition);
  }
}

void define_object(CppWriter& out, const ObjectType& type, std::string_view name) {
  auto always = [](const Member* member) { return member->condition.always(); };
  std::string_view unused = std::ranges::any_of(type.members, always) ? "" : "[[maybe_unused]] ";
  out.line(fmt::format("Result<void> visit_members({}qapi::Visitor& visitor, {}{}& value) {{", unused, unused, name));
  define_members(out, type);
  if (type.is_union()) define_branches(out, type);
  out.line("  return {};");
  out.line("}");
  out.line(fmt::format("Result<void> visit(qapi::Visitor& visitor, std::string_view name, {}& value) {{", name));
  out.line("  return qapi::visit_object(visitor, name, value);");
  out.line("}");
}

}  // namespace

void declare_type(CppWriter& out, const CppModel& model, const Type& type) {
  out.line();
  out.open_if(type.condition);
  out.comment(first_sentence(type.doc));
  if (type.kind == Kind::kEnum)
    declare_enum(out, static_cast<const EnumType&>(type));
  else if (type.kind == Kind::kAlternate)
    declare_alternate(out, model, static_cast<const AlternateType&>(type));
  else
    declare_object(out, &model, static_cast<const ObjectType&>(type), cpp_type_name(type.name));
  out.close_if(type.condition);
}

void define_type(CppWriter& out, const Type& type) {
  out.line();
  out.open_if(type.condition);
  if (type.kind == Kind::kEnum)
    define_enum(out, static_cast<const EnumType&>(type));
  else if (type.kind == Kind::kAlternate)
    define_alternate(out, static_cast<const AlternateType&>(type));
  else
    define_object(out, static_cast<const ObjectType&>(type), cpp_type_name(type.name));
  out.close_if(type.condition);
}

void declare_arguments(CppWriter& out, const ObjectType& type, std::string_view name) {
  declare_object(out, nullptr, type, name);
}

void define_arguments(CppWriter& out, const ObjectType& type, std::string_view name) { define_object(out, type, name); }

}  // namespace pagurus::qapi_gen
