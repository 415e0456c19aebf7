// Options in key=value form that are anything: the parser by itself, and the type of the schema that the
// first byte names, read from what it made.
#include "qapi/keyval.h"

#include "fuzz/schema_types.h"
#include "fuzz/target.h"
#include "qapi/scalars.h"

namespace pagurus::fuzz {
// Values of every type as far as there is a text for them, and texts that say what values cannot.
std::vector<Bytes> seeds() {
  std::vector<Bytes> result = {bytes_of("\x01tap,id=n0,ifname=tap0,script=/a,,b,downscript=no,sndbuf=1M"),
                               bytes_of("\x02"
                                        "a.b.c=1,a.b.d=2,list.0=x,list.1.y=z,n=-0x10,size=15E,f=1.5e3"),
                               bytes_of("\x03tap,help")};
  for (auto& [number, value] : random_values(schema::RandomVisitor::For::kKeyval)) {
    if (auto text = qapi::keyval_text(value)) result.push_back(bytes_of(static_cast<char>(number) + *text));
    result.push_back(bytes_of(static_cast<char>(number) + value.text()));
  }
  return result;
}

}  // namespace pagurus::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pagurus;
  if (size == 0) return 0;
  std::string_view text(reinterpret_cast<const char*>(data + 1), size - 1);
  (void)qapi::help_request(text);
  (void)qapi::size_from_text(text);
  (void)qapi::whole_number_from_text(text);
  (void)qapi::number_from_text(text);
  for (std::string_view implied : {"", "type"}) {
    auto parsed = qapi::parse_keyval(text, implied);
    if (!parsed) continue;
    CHECK(parsed->tree.is_object(), "parameters are an object");
    if (parsed->scalars == qapi::JsonInput::Scalars::kKeyval) {
      auto written = qapi::keyval_text(parsed->tree);
      CHECK(written.has_value(), "what came from text can be written as text");
      auto again = qapi::parse_keyval(*written, {});
      // Escapes and implied keys may make it longer than what is allowed.
      CHECK(written->size() > qapi::kMaxKeyvalBytes || (again && again->tree == parsed->tree), "and gives the same");
    }
    fuzz::read_as_type(data[0], parsed->tree, parsed->scalars);
  }
  return 0;
}
