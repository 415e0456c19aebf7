#include "expression_parts.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/result.h"
#include "conditions.h"

namespace pagurus::qapi_gen {
namespace {

std::string quoted(Keys keys) {
  std::ranges::sort(keys);
  std::string text;
  for (const std::string_view key : keys) text += fmt::format("{}'{}'", text.empty() ? "" : ", ", key);
  return text;
}

std::string_view plural(const Keys& keys) { return keys.size() == 1 ? "" : "s"; }

Checked<> check_name(const NameProblem& problem, std::string_view subject, const Place& place) {
  if (problem) return place.refuse(fmt::format("{} {}", subject, *problem));
  return {};
}

// Both forms of a member; checks the keys of the long one.
Checked<const Value*> type_of(const Value& value, std::string_view subject, const Keys& optional, const Place& place) {
  if (!value.is_object()) return &value;
  TRY(check_keys(value, subject, {"type"}, optional, place));
  return value.find("type");
}

const Value* part(const Value& value, std::string_view key) { return value.is_object() ? value.find(key) : nullptr; }

Checked<Feature> read_feature(const Value& value, const Place& place) {
  const std::string_view member = "'features' member";
  if (value.is_object()) TRY(check_keys(value, member, {"name"}, {"if"}, place));
  const Value& name = value.is_object() ? *value.find("name") : value;
  if (!name.is_string()) return place.refuse("'features' member requires a string as its name");
  const std::string subject = fmt::format("{} '{}'", member, name.string());
  TRY(check_name(lower_name_problem(name.string(), Spelling::kStrict), subject, place));
  Feature feature{.name = name.string(), .condition = {}, .at = name.at};
  feature.condition = TRY(read_condition(part(value, "if"), subject, place));
  return feature;
}

Checked<MemberDraft> read_member(const Value::Member& written, std::string_view where, Spelling spelling,
                                 const Place& place) {
  const std::string subject = fmt::format("{} member '{}'", where, written.key);
  const bool optional = written.key.starts_with('*');
  MemberDraft draft{.name = optional ? written.key.substr(1) : written.key,
                    .type = {},
                    .optional = optional,
                    .condition = {},
                    .features = {},
                    .at = written.at};
  TRY(check_name(member_name_problem(draft.name, spelling), subject, place));
  const Value* type = TRY(type_of(written.value, subject, {"if", "features"}, place));
  draft.condition = TRY(read_condition(part(written.value, "if"), subject, place));
  draft.features = TRY(read_features(part(written.value, "features"), place));
  draft.type = TRY(read_type_reference(*type, subject, place));
  return draft;
}

Checked<MemberDraft> read_branch(const Value::Member& written, Meta meta, const Place& place) {
  const std::string subject = fmt::format("'data' member '{}'", written.key);
  MemberDraft draft{
      .name = written.key, .type = {}, .optional = false, .condition = {}, .features = {}, .at = written.at};
  // A union's names need no check: they must be values of an enum.
  if (meta == Meta::kAlternate) TRY(check_name(lower_name_problem(draft.name, Spelling::kStrict), subject, place));
  const Value* type = TRY(type_of(written.value, subject, {"if"}, place));
  draft.condition = TRY(read_condition(part(written.value, "if"), subject, place));
  if (meta == Meta::kAlternate) {
    draft.type = TRY(read_type_reference(*type, subject, place));
  } else {
    draft.type.name = TRY(read_type_name(*type, subject, place));
  }
  return draft;
}

}  // namespace

Checked<> check_keys(const Value& object, std::string_view subject, const Keys& required, const Keys& optional,
                     const Place& place) {
  Keys missing;
  for (const std::string_view key : required) {
    if (object.find(key) == nullptr) missing.push_back(key);
  }
  if (!missing.empty()) {
    return place.refuse(fmt::format("{} misses key{} {}", subject, plural(missing), quoted(missing)));
  }
  Keys allowed = required;
  allowed.insert(allowed.end(), optional.begin(), optional.end());
  Keys unknown;
  for (const Value::Member& member : object.object()) {
    if (std::ranges::find(allowed, member.key) == allowed.end()) unknown.push_back(member.key);
  }
  if (unknown.empty()) return {};
  return place.refuse(fmt::format("{} has unknown key{} {}\nIt may have {}.", subject, plural(unknown), quoted(unknown),
                                  quoted(allowed)));
}

Checked<std::string> read_type_name(const Value& value, std::string_view subject, const Place& place) {
  if (!value.is_string()) return place.refuse(fmt::format("{} must be the name of a type", subject));
  return value.string();
}

Checked<TypeReference> read_type_reference(const Value& value, std::string_view subject, const Place& place) {
  if (value.is_string()) return TypeReference{.name = value.string()};
  if (!value.is_list()) {
    return place.refuse(fmt::format("{} must be the name of a type, or that name in brackets for an array", subject));
  }
  const Value::List& list = value.list();
  if (list.size() != 1 || !list.front().is_string()) {
    return place.refuse(fmt::format("{}: an array is written as the name of one type in brackets", subject));
  }
  return TypeReference{.name = list.front().string(), .array = true};
}

Checked<std::vector<Feature>> read_features(const Value* value, const Place& place) {
  std::vector<Feature> features;
  if (value == nullptr) return features;
  if (!value->is_list()) return place.refuse("'features' must be an array");
  for (const Value& item : value->list()) features.push_back(TRY(read_feature(item, place)));
  return features;
}

std::unexpected<Diagnostic> refuse_neither(std::string_view subject, const Place& place) {
  return place.refuse(fmt::format("{} must be the name of a type or an object that lists members", subject));
}

Checked<std::vector<MemberDraft>> read_members(const Value& value, std::string_view subject, Spelling spelling,
                                               const Place& place) {
  if (!value.is_object()) return place.refuse(fmt::format("{} must be an object that lists members", subject));
  std::vector<MemberDraft> members;
  for (const Value::Member& member : value.object()) {
    members.push_back(TRY(read_member(member, subject, spelling, place)));
  }
  return members;
}

Checked<std::vector<MemberDraft>> read_branches(const Value& value, Meta meta, const Place& place) {
  if (!value.is_object()) return place.refuse("'data' must be an object that lists branches");
  if (meta == Meta::kAlternate && value.object().empty()) {
    return place.refuse("'data' must not be empty: an alternate needs a branch");
  }
  std::vector<MemberDraft> branches;
  for (const Value::Member& member : value.object()) {
    branches.push_back(TRY(read_branch(member, meta, place)));
  }
  return branches;
}

}  // namespace pagurus::qapi_gen
