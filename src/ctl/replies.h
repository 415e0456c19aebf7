// Taking values out of replies, with a sentence where one is not as expected.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "qapi/json.h"

namespace pagurus::ctl {

Result<std::string> string_member(const qapi::Json& object, std::string_view name);
Result<int64_t> integer_member(const qapi::Json& object, std::string_view name);
Result<bool> boolean_member(const qapi::Json& object, std::string_view name);
Result<std::vector<std::string>> strings_member(const qapi::Json& object, std::string_view name);
// A list of objects, each as its text.
Result<std::vector<std::string>> objects_member(const qapi::Json& object, std::string_view name);

}  // namespace pagurus::ctl
