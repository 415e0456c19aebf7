#include "qapi/json_arguments.h"

#include <algorithm>

namespace pagurus::qapi {

std::unexpected<Error> missing_parameter(std::string_view name) { return fail("Parameter '{}' is missing", name); }

std::unexpected<Error> wrong_parameter_type(std::string_view name, std::string_view expected) {
  return fail("Invalid parameter type for '{}', expected: {}", name, expected);
}

bool Arguments::has(std::string_view name) const {
  return std::ranges::any_of(members_, [&](const auto& member) { return member.name == name; });
}

std::optional<Json> Arguments::take(std::string_view name) {
  auto found = std::ranges::find(members_, name, [](const auto& member) { return member.name; });
  if (found == members_.end()) return std::nullopt;
  Json value = std::move(found->value);
  members_.erase(found);
  return value;
}

Result<std::optional<std::string>> Arguments::take_optional_string(std::string_view name) {
  auto value = take(name);
  if (!value) return std::nullopt;
  if (!value->is_string()) return wrong_parameter_type(name, "string");
  return value->as_string();
}

Result<std::optional<bool>> Arguments::take_optional_bool(std::string_view name) {
  auto value = take(name);
  if (!value) return std::nullopt;
  if (!value->is_bool()) return wrong_parameter_type(name, "boolean");
  return value->as_bool();
}

Result<std::optional<uint64_t>> Arguments::take_optional_uint(std::string_view name) {
  auto value = take(name);
  if (!value) return std::nullopt;
  if (!value->is_integer()) return wrong_parameter_type(name, "integer");
  if (!value->fits_uint64()) return fail("Parameter '{}' expects a number that is not negative", name);
  return value->as_uint64();
}

Result<std::string> Arguments::take_string(std::string_view name) {
  auto value = TRY(take_optional_string(name));
  if (!value) return missing_parameter(name);
  return *value;
}

Result<bool> Arguments::take_bool(std::string_view name) {
  auto value = TRY(take_optional_bool(name));
  if (!value) return missing_parameter(name);
  return *value;
}

Result<Json::Array> Arguments::take_array(std::string_view name) {
  auto value = take(name);
  if (!value) return missing_parameter(name);
  if (!value->is_array()) return wrong_parameter_type(name, "array");
  return std::move(value->as_array());
}

Result<void> Arguments::finish() const {
  if (members_.empty()) return {};
  return fail("Parameter '{}' is unexpected", members_.front().name);
}

}  // namespace pagurus::qapi
