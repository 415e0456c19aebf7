// JSON that is anything, read as the type of the schema that the first byte names: the arguments of every
// command and the values of every option among them.
#include "qapi/json_input.h"

#include "fuzz/schema_types.h"
#include "fuzz/target.h"
#include "qapi/json_reader.h"

namespace pagurus::fuzz {
std::vector<Bytes> seeds() {
  std::vector<Bytes> result;
  for (auto& [number, value] : random_values(schema::RandomVisitor::For::kJson))
    result.push_back(bytes_of(static_cast<char>(number) + value.text()));
  return result;
}

}  // namespace pagurus::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pagurus;
  if (size == 0) return 0;
  auto json = qapi::parse_json({reinterpret_cast<const char*>(data + 1), size - 1});
  if (json) fuzz::read_as_type(data[0], *json, qapi::JsonInput::Scalars::kJson);
  return 0;
}
