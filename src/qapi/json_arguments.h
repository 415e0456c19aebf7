// Arguments of a command: an object consumed member by member, so that what is missing, has the
// wrong type or was not asked for is refused by name before the command does anything.
//
//   auto uri = TRY(arguments.take_string("uri"));
//   auto tls = TRY(arguments.take_optional_bool("tls")).value_or(false);
//   TRY(arguments.finish());
//
// The sentences are those that clients of QMP know: "Parameter 'uri' is missing",
// "Invalid parameter type for 'uri', expected: string", "Parameter 'foo' is unexpected".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "qapi/json.h"

namespace pagurus::qapi {

class Arguments {
 public:
  Arguments() = default;
  explicit Arguments(Json::Object members) : members_(std::move(members)) {}

  bool has(std::string_view name) const;
  Result<std::string> take_string(std::string_view name);
  Result<bool> take_bool(std::string_view name);
  Result<Json::Array> take_array(std::string_view name);
  Result<std::optional<std::string>> take_optional_string(std::string_view name);
  Result<std::optional<bool>> take_optional_bool(std::string_view name);
  Result<std::optional<uint64_t>> take_optional_uint(std::string_view name);
  // Refuses what is left.
  Result<void> finish() const;

 private:
  std::optional<Json> take(std::string_view name);

  Json::Object members_;
};

std::unexpected<Error> missing_parameter(std::string_view name);
// expected: "string", "boolean", "integer", "array", "object".
std::unexpected<Error> wrong_parameter_type(std::string_view name, std::string_view expected);

}  // namespace pagurus::qapi
