// For tests of what works on whole schemas: one from a text in memory.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "schema.h"

namespace pagurus::qapi_gen {

inline std::unique_ptr<Schema> schema_of(std::string_view text) {
  auto schema = load_schema("test.json", Dialect::kStrict, MemoryReader({{"test.json", std::string(text)}}));
  // Nothing can be tested with a schema that the test itself has wrong.
  CHECK(schema.has_value(), schema.error().text().c_str());
  return std::move(*schema);
}

}  // namespace pagurus::qapi_gen
