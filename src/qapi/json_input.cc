#include "qapi/json_input.h"

#include <algorithm>

#include "qapi/scalars.h"

namespace pagurus::qapi {
namespace {

std::optional<WholeNumber> whole_number(const Json& value, bool keyval) {
  if (keyval) return value.is_string() ? whole_number_from_text(value.as_string()) : std::nullopt;
  if (!value.is_integer()) return std::nullopt;
  if (value.fits_uint64()) return WholeNumber{value.as_uint64(), false};
  return WholeNumber{uint64_t{0} - static_cast<uint64_t>(value.as_int64()), true};
}

std::optional<double> number_of(const Json& value, bool keyval) {
  if (keyval) return value.is_string() ? number_from_text(value.as_string()) : std::nullopt;
  return value.is_number() ? std::optional(value.as_double()) : std::nullopt;
}

std::optional<bool> bool_of(const Json& value, bool keyval) {
  if (keyval) return value.is_string() ? bool_from_text(value.as_string()) : std::nullopt;
  return value.is_bool() ? std::optional(value.as_bool()) : std::nullopt;
}

bool fits(const Json& value, const Alternative& alternative, bool keyval) {
  using Kind = Alternative::Kind;
  switch (alternative.kind) {
    case Kind::kNull: return value.is_null();
    case Kind::kBool: return bool_of(value, keyval).has_value();
    case Kind::kInteger: return whole_number(value, keyval).has_value();
    case Kind::kNumber: return number_of(value, keyval).has_value();
    case Kind::kString: return value.is_string();
    // Any text in JSON, so that a wrong value is named as such; key=value text may mean something else.
    case Kind::kEnum:
      return value.is_string() &&
             (!keyval || std::ranges::find(alternative.names, value.as_string()) != alternative.names.end());
    case Kind::kList: return value.is_array();
    case Kind::kObject: return value.is_object();
  }
  return false;
}

std::string_view type_name(Alternative::Kind kind) {
  using Kind = Alternative::Kind;
  switch (kind) {
    case Kind::kNull: return "null";
    case Kind::kBool: return "boolean";
    case Kind::kInteger: return "integer";
    case Kind::kNumber: return "number";
    case Kind::kString:
    case Kind::kEnum: return "string";
    case Kind::kList: return "array";
    case Kind::kObject: return "object";
  }
  return "";
}

std::string quoted_list(Names names) {
  std::string text;
  for (std::string_view name : names) text += fmt::format("{}'{}'", text.empty() ? "" : ", ", name);
  return text;
}

size_t index_of(const Json::Object& members, std::string_view name) {
  auto found = std::ranges::find(members, name, &Json::Member::name);
  return static_cast<size_t>(found - members.begin());
}

}  // namespace

JsonInput::JsonInput(const Json& root, Scalars scalars, std::string_view root_name)
    : Visitor(Direction::kRead), root_(root), scalars_(scalars), root_name_(root_name) {}

std::string JsonInput::path(std::string_view name) const {
  if (open_.empty()) return std::string(root_name_);
  std::string text;
  auto append = [&](const Level& parent, std::string_view member) {
    if (parent.value->is_array()) {
      text += fmt::format("[{}]", parent.next - 1);
    } else {
      if (!text.empty()) text += '.';
      text += member;
    }
  };
  for (size_t i = 1; i < open_.size(); ++i) append(open_[i - 1], open_[i].name);
  append(open_.back(), name);
  return text;
}

std::unexpected<Error> JsonInput::wrong_type(std::string_view name, std::string_view expected) const {
  return fail("Invalid parameter type for '{}', expected: {}", path(name), expected);
}

const Json* JsonInput::peek(std::string_view name) const {
  if (open_.empty()) return &root_;
  const Level& level = open_.back();
  if (level.value->is_array()) return &level.value->as_array()[level.next - 1];
  return level.value->find(name);
}

Result<const Json*> JsonInput::take(std::string_view name) {
  if (!open_.empty()) {
    Level& level = open_.back();
    if (level.value->is_array()) {
      CHECK(level.next < level.value->as_array().size(), "a list is read element by element");
      ++level.next;
    } else {
      size_t index = index_of(level.value->as_object(), name);
      if (index == level.used.size()) return fail("Parameter '{}' is missing", path(name));
      level.used[index] = true;
    }
  }
  return peek(name);
}

Result<void> JsonInput::start_object(std::string_view name) {
  const Json* value = TRY(take(name));
  if (!value->is_object()) return wrong_type(name, "object");
  open_.push_back({.value = value, .name = name, .used = std::vector<bool>(value->as_object().size())});
  return {};
}

Result<void> JsonInput::end_object() {
  const Level& level = open_.back();
  const Json::Object& members = level.value->as_object();
  for (size_t i = 0; i < members.size(); ++i) {
    if (level.used[i]) continue;
    bool twice = index_of(members, members[i].name) != i;
    return fail("Parameter '{}' is {}", path(members[i].name), twice ? "given twice" : "unexpected");
  }
  open_.pop_back();
  return {};
}

Result<size_t> JsonInput::start_list(std::string_view name, size_t) {
  const Json* value = TRY(take(name));
  if (!value->is_array()) return wrong_type(name, "array");
  open_.push_back({.value = value, .name = name, .used = {}});
  return value->as_array().size();
}

Result<void> JsonInput::end_list() {
  open_.pop_back();
  return {};
}

Result<bool> JsonInput::present(std::string_view name, bool) { return peek(name) != nullptr; }

Result<size_t> JsonInput::choose(std::string_view name, std::span<const Alternative> alternatives, size_t) {
  // Only looked at: the branch itself takes it.
  const Json* value = nullptr;
  bool element = !open_.empty() && open_.back().value->is_array();
  if (element)
    value = &open_.back().value->as_array()[open_.back().next];
  else
    value = peek(name);
  if (value == nullptr) return fail("Parameter '{}' is missing", path(name));
  // What a text may mean more narrowly comes first: on is a string, too.
  size_t chosen = alternatives.size();
  for (size_t i = 0; i < alternatives.size(); ++i) {
    if (!fits(*value, alternatives[i], keyval())) continue;
    if (chosen == alternatives.size() || alternatives[chosen].kind == Alternative::Kind::kString) chosen = i;
  }
  if (chosen < alternatives.size()) return chosen;
  // A text that is none of an enum's values is named as such by the branch.
  for (size_t i = 0; i < alternatives.size(); ++i) {
    if (value->is_string() && alternatives[i].kind == Alternative::Kind::kEnum) return i;
  }
  std::string expected;
  for (const Alternative& alternative : alternatives) {
    if (!expected.empty()) expected += " or ";
    expected += type_name(alternative.kind);
  }
  if (element) ++open_.back().next;
  return wrong_type(name, expected);
}

Result<void> JsonInput::boolean(std::string_view name, bool& value) {
  auto read = bool_of(*TRY(take(name)), keyval());
  if (!read) return wrong_type(name, "boolean");
  value = *read;
  return {};
}

Result<void> JsonInput::integer(std::string_view name, int64_t& value, int64_t min, int64_t max) {
  auto read = whole_number(*TRY(take(name)), keyval());
  if (!read) return wrong_type(name, "integer");
  constexpr uint64_t kLowest = uint64_t{1} << 63;
  bool fits_64 = read->negative ? read->magnitude <= kLowest : read->magnitude < kLowest;
  auto number = static_cast<int64_t>(read->negative ? uint64_t{0} - read->magnitude : read->magnitude);
  if (!fits_64 || number < min || number > max) {
    return fail("Parameter '{}' expects a value from {} to {}", path(name), min, max);
  }
  value = number;
  return {};
}

Result<void> JsonInput::natural(std::string_view name, uint64_t& value, uint64_t max) {
  auto read = whole_number(*TRY(take(name)), keyval());
  if (!read) return wrong_type(name, "integer");
  if ((read->negative && read->magnitude != 0) || read->magnitude > max) {
    return fail("Parameter '{}' expects a value from 0 to {}", path(name), max);
  }
  value = read->magnitude;
  return {};
}

Result<void> JsonInput::size(std::string_view name, uint64_t& bytes) {
  const Json* value = TRY(take(name));
  std::optional<uint64_t> read;
  if (!keyval()) {
    if (!value->is_integer()) return wrong_type(name, "integer");
    if (value->fits_uint64()) read = value->as_uint64();
  } else if (value->is_string()) {
    read = size_from_text(value->as_string());
  }
  if (!read) return fail("Parameter '{}' expects a size such as 512, 64K or 2G", path(name));
  bytes = *read;
  return {};
}

Result<void> JsonInput::number(std::string_view name, double& value) {
  auto read = number_of(*TRY(take(name)), keyval());
  if (!read) return wrong_type(name, "number");
  value = *read;
  return {};
}

Result<void> JsonInput::string(std::string_view name, std::string& value) {
  const Json* read = TRY(take(name));
  if (!read->is_string()) return wrong_type(name, "string");
  value = read->as_string();
  return {};
}

Result<void> JsonInput::enumeration(std::string_view name, size_t& index, Names names) {
  const Json* value = TRY(take(name));
  if (!value->is_string()) return wrong_type(name, "string");
  auto found = std::ranges::find(names, value->as_string());
  if (found == names.end()) {
    return fail("Parameter '{}' does not accept value '{}' (it accepts {})", path(name), value->as_string(),
                quoted_list(names));
  }
  index = static_cast<size_t>(found - names.begin());
  return {};
}

Result<void> JsonInput::null(std::string_view name) {
  const Json* value = TRY(take(name));
  if (!value->is_null()) return wrong_type(name, "null");
  return {};
}

Result<void> JsonInput::any(std::string_view name, Json& value) {
  value = *TRY(take(name));
  return {};
}

}  // namespace pagurus::qapi
