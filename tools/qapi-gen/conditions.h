// 'if': what a part of the schema depends on.
#pragma once

#include <string_view>

#include "definition.h"
#include "value.h"

namespace pagurus::qapi_gen {

// `subject` is what the condition belongs to, as "'data' member 'x'"; no value: always.
Checked<Condition> read_condition(const Value* value, std::string_view subject, const Place& place);

}  // namespace pagurus::qapi_gen
