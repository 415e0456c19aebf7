#include "conditions.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/result.h"
#include "expression_parts.h"

namespace pagurus::qapi_gen {
namespace {

bool is_macro(std::string_view text) {
  const auto upper = [](char c) { return c >= 'A' && c <= 'Z'; };
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  return !text.empty() && upper(text.front()) &&
         std::ranges::all_of(text, [&](char c) { return upper(c) || digit(c) || c == '_'; });
}

Checked<Condition> read(const Value& value, std::string_view subject, const Place& place);

Checked<Condition> read_operands(const Value::Member& member, std::string_view subject, const Place& place) {
  if (!member.value.is_list()) {
    return place.refuse(fmt::format("'{}' condition of {} must be an array of conditions", member.key, subject));
  }
  if (member.value.list().empty()) {
    return place.refuse(fmt::format("'{}' condition of {} is useless without operands", member.key, subject));
  }
  Condition result;
  result.kind = member.key == "all" ? Condition::Kind::kAll : Condition::Kind::kAny;
  for (const Value& operand : member.value.list()) result.operands.push_back(TRY(read(operand, subject, place)));
  return result;
}

Checked<Condition> read(const Value& value, std::string_view subject, const Place& place) {
  if (value.is_string()) {
    if (!is_macro(value.string())) {
      return place.refuse(fmt::format("'if' condition '{}' of {} is not the name of a macro, such as 'CONFIG_FOO'",
                                      value.string(), subject));
    }
    return Condition{.kind = Condition::Kind::kName, .name = value.string(), .operands = {}};
  }
  if (!value.is_object()) {
    return place.refuse(fmt::format("'if' condition of {} must be a string or an object", subject));
  }
  TRY(check_keys(value, fmt::format("'if' condition of {}", subject), {}, {"all", "any", "not"}, place));
  if (value.object().size() != 1) {
    return place.refuse(fmt::format("'if' condition of {} needs exactly one of 'all', 'any', 'not'", subject));
  }
  const Value::Member& member = value.object().front();
  if (member.key != "not") return read_operands(member, subject, place);
  Condition result;
  result.kind = Condition::Kind::kNot;
  result.operands.push_back(TRY(read(member.value, subject, place)));
  return result;
}

std::string joined(const std::vector<Condition>& operands, std::string_view separator) {
  std::string text;
  for (const Condition& operand : operands) {
    if (!text.empty()) text += separator;
    text += operand.text();
  }
  return "(" + text + ")";
}

}  // namespace

Checked<Condition> read_condition(const Value* value, std::string_view subject, const Place& place) {
  if (value == nullptr) return Condition{};
  return read(*value, subject, place);
}

std::string Condition::text() const {
  switch (kind) {
    case Kind::kAlways: return "";
    case Kind::kName: return "defined(" + name + ")";
    case Kind::kAll: return joined(operands, " && ");
    case Kind::kAny: return joined(operands, " || ");
    case Kind::kNot: return "!" + operands.front().text();
  }
  CHECK(false, "all kinds are handled");
}

}  // namespace pagurus::qapi_gen
