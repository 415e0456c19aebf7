#include "option_help.h"

#include <fmt/format.h>

#include <algorithm>

#include "c_names.h"
#include "doc_text.h"

namespace pagurus::qapi_gen {
namespace {

using Kind = Entity::Kind;
using SectionKind = DocSection::Kind;

// Objects inside objects are shown with dots in front of their members, this deep.
constexpr int kMaxNesting = 3;

std::string enum_form(const EnumType& type) {
  constexpr size_t kMaxShown = 6;
  std::string text;
  for (const EnumMember& member : type.members) text += (text.empty() ? "" : "|") + member.name;
  return type.members.size() <= kMaxShown ? text : "NAME";
}

std::string builtin_form(std::string_view name) {
  if (name == "bool") return "on|off";
  if (name == "str") return "TEXT";
  if (name == "size") return "SIZE";
  if (name == "any") return "VALUE";
  return "NUMBER";
}

// A base's members are documented where the base is.
const Doc* doc_of(const ObjectType& type, const Member& member) {
  for (const ObjectType* owner = &type; owner != nullptr; owner = owner->base) {
    for (const Member& local : owner->local_members) {
      // An implicit base's are documented with the union.
      if (&local == &member) return owner->doc != nullptr ? owner->doc : type.doc;
    }
  }
  return type.doc;
}

void add_members(std::vector<HelpLine>& lines, const ObjectType& type, const std::string& prefix,
                 const Member* left_out, int nesting);

void add_member(std::vector<HelpLine>& lines, const ObjectType& type, const Member& member, const std::string& prefix,
                int nesting) {
  std::string key = prefix + member.name;
  const Type* value = member.type;
  if (value->kind == Kind::kArray) {
    key += ".0";
    value = &element_type(*value);
  }
  if (value->kind == Kind::kObject && nesting < kMaxNesting) {
    add_members(lines, static_cast<const ObjectType&>(*value), key + ".", nullptr, nesting + 1);
    return;
  }
  std::string text = first_sentence_about(doc_of(type, member), SectionKind::kMember, member.name);
  if (!member.optional && nesting == 0) text += text.empty() ? "(required)" : " (required)";
  lines.push_back({fmt::format("{}={}", key, value_form(*value)), std::move(text), member.condition});
}

void add_members(std::vector<HelpLine>& lines, const ObjectType& type, const std::string& prefix,
                 const Member* left_out, int nesting) {
  for (const Member* member : type.members) {
    if (member != left_out) add_member(lines, type, *member, prefix, nesting);
  }
}

HelpText properties(std::string_view option, std::string_view selector, const ObjectType& type,
                    const Member* left_out) {
  HelpText help;
  help.selector = selector;
  help.title = selector.empty() ? fmt::format("-{} takes:", option) : fmt::format("-{} {} takes:", option, selector);
  add_members(help.lines, type, {}, left_out, 0);
  return help;
}

// What each value of the first member means: the branch's own words if there are some.
HelpText values(std::string_view option, const EnumType& type, const ObjectType& owner) {
  HelpText help{.selector = {}, .title = fmt::format("-{} takes one of:", option), .lines = {}, .condition = {}};
  for (const EnumMember& value : type.members) {
    std::string text = first_sentence_about(type.doc, SectionKind::kMember, value.name);
    auto branch = std::ranges::find(owner.branches, value.name, &Branch::name);
    if (branch != owner.branches.end() && branch->type->doc != nullptr) text = first_sentence(branch->type->doc);
    help.lines.push_back({value.name, std::move(text), value.condition});
  }
  return help;
}

HelpText value_properties(std::string_view option, const EnumMember& value, const ObjectType& owner) {
  HelpText help = properties(option, value.name, owner, owner.members.front());
  help.condition = value.condition;
  auto branch = std::ranges::find(owner.branches, value.name, &Branch::name);
  if (branch != owner.branches.end() && branch->type->kind == Kind::kObject)
    add_members(help.lines, static_cast<const ObjectType&>(*branch->type), {}, nullptr, 0);
  if (help.lines.empty()) help.title = fmt::format("-{} {} takes nothing else.", option, value.name);
  return help;
}

}  // namespace

std::string value_form(const Type& type) {
  switch (type.kind) {
    case Kind::kEnum: return enum_form(static_cast<const EnumType&>(type));
    case Kind::kBuiltin: return builtin_form(type.name);
    case Kind::kAlternate: {
      std::string text;
      for (const Branch& branch : static_cast<const AlternateType&>(type).branches)
        text += (text.empty() ? "" : "|") + value_form(*branch.type);
      return text;
    }
    case Kind::kArray: return value_form(element_type(type)) + "...";
    default: return "...";
  }
}

const Member* implied_member(const Type& type) {
  if (type.kind != Kind::kObject) return nullptr;
  const auto& members = static_cast<const ObjectType&>(type).members;
  return members.empty() ? nullptr : members.front();
}

std::vector<HelpText> help_texts(std::string_view option, const Type& type, const Doc* options_doc) {
  const Type& value = element_type(type);
  std::vector<HelpText> result;
  if (const Member* implied = implied_member(value)) {
    const auto& object = static_cast<const ObjectType&>(value);
    if (implied->type->kind != Kind::kEnum) return {properties(option, {}, object, nullptr)};
    const auto& first = static_cast<const EnumType&>(*implied->type);
    result.push_back(values(option, first, object));
    for (const EnumMember& one : first.members) result.push_back(value_properties(option, one, object));
  } else {
    bool is_flag = value.kind == Kind::kBuiltin && value.name == "bool";
    HelpText help;
    help.title = fmt::format("-{}{}{}", option, is_flag ? "" : " ", is_flag ? "" : value_form(value));
    help.lines.push_back({"", first_sentence_about(options_doc, SectionKind::kMember, option), {}});
    result.push_back(std::move(help));
  }
  return result;
}

}  // namespace pagurus::qapi_gen
