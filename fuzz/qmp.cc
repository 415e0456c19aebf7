// A QMP client that sends anything: the JSON reader, whole and in pieces.
#include "fuzz/target.h"
#include "qapi/json_reader.h"

namespace pagurus::fuzz {

std::vector<Bytes> seeds() {
  return {bytes_of("{\"execute\": \"qmp_capabilities\"}\n"),
          bytes_of("{\"execute\": \"migrate\", \"arguments\": {\"uri\": \"unix:/x\"}, \"id\": [1, 2.5, null, true]}\n"),
          bytes_of("{\"a\\u0041\\n\": \"\\ud83e\\udd80\", \"b\": -9223372036854775808, \"c\": 18446744073709551615}"),
          bytes_of("[[[[[[]]]]]] {} \"x\" 1e308 \xff {\"execute\": 1}\n{\"a\":1,\"a\":2}\n")};
}

}  // namespace pagurus::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using pagurus::qapi::JsonReader;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  for (size_t piece : {size + 1, size_t{1}, size_t{7}}) {
    JsonReader reader({.max_bytes = 4096, .max_depth = 16});
    for (size_t at = 0; at < size; at += piece) {
      reader.feed(text.substr(at, piece));
      // Every answer uses up at least a byte, so there are no more answers than bytes.
      size_t answers = 0;
      while (auto value = reader.next()) {
        if (++answers > size + 2) __builtin_trap();
        if (*value) (void)pagurus::qapi::parse_json((*value)->text());
      }
    }
  }
  return 0;
}
