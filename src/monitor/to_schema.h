// Names of states that other layers have, as values of the schema's enums.
#pragma once

#include <string_view>

#include "qapi/visitor.h"

namespace pagurus::monitor {

// name: one that the schema knows.
template <class Enum>
Enum to_schema(std::string_view name) {
  auto value = qapi::enum_value<Enum>(name);
  CHECK(value.has_value(), "the schema knows every state by its name");
  return *value;
}

}  // namespace pagurus::monitor
