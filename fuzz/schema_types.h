// The types of the schema by number, for fuzzers that read them.
#pragma once

#include <utility>
#include <vector>

#include "qapi/json_input.h"
#include "qapi/json_output.h"
#include "schema/all_types.h"
#include "schema/random_visitor.h"

namespace pagurus::fuzz {

constexpr size_t kTypeNumbers = 256;  // a byte; types share them if there are more

// Random values of every type, in their JSON form, with the type's number.
inline std::vector<std::pair<uint8_t, qapi::Json>> random_values(schema::RandomVisitor::For purpose) {
  std::vector<std::pair<uint8_t, qapi::Json>> result;
  size_t number = 0;
  schema::for_each_type([&]<class T>(const char*) {
    for (uint32_t seed = 0; seed < 4; ++seed) {
      schema::RandomVisitor random(seed, purpose);
      T value{};
      if (visit(random, {}, value))
        result.emplace_back(static_cast<uint8_t>(number % kTypeNumbers), qapi::to_json(value));
    }
    ++number;
  });
  return result;
}

template <class T>
void read_as(const qapi::Json& json, qapi::JsonInput::Scalars scalars) {
  auto value = qapi::read_value<T>(json, scalars, "value");
  if (!value) {
    CHECK(!value.error().message().empty(), "a refusal says why");
    return;
  }
  auto again = qapi::from_json<T>(qapi::to_json(*value));
  CHECK(again && *again == *value, "what was read can be written and read again");
}

inline void read_as_type(uint8_t type, const qapi::Json& json, qapi::JsonInput::Scalars scalars) {
  size_t number = 0;
  schema::for_each_type([&]<class T>(const char*) {
    if (number++ % kTypeNumbers == type) read_as<T>(json, scalars);
  });
}

}  // namespace pagurus::fuzz
