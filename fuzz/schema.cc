// A schema that is anything, in one file or several, through the whole compiler: what it accepts must come
// out as C++, introspection and documents, too, and the strict rules must have places for what they find.
#include "schema.h"

#include <filesystem>
#include <fstream>
#include <iterator>

#include "emit_cpp.h"
#include "emit_docs.h"
#include "emit_introspect.h"
#include "emit_keyval.h"
#include "fuzz/target.h"
#include "strict.h"

namespace pagurus::fuzz {
namespace {

// Between files: the first is "0.json", the others, which it may include, "1.json" and so on.
constexpr char kSeparator = '\x1e';

qapi_gen::MemoryReader files_of(std::string_view text) {
  qapi_gen::MemoryReader::Files files;
  while (true) {
    const size_t end = text.find(kSeparator);
    files.emplace(std::to_string(files.size()) + ".json", text.substr(0, end));
    if (end == std::string_view::npos) return qapi_gen::MemoryReader(std::move(files));
    text.remove_prefix(end + 1);
  }
}

void check_refusal(const qapi_gen::Diagnostic& diagnostic) {
  CHECK(diagnostic.at.file != nullptr && diagnostic.at.line >= 1, "what is wrong has a place");
  CHECK(!diagnostic.message.empty(), "what is wrong is said");
  CHECK(diagnostic.text().contains(diagnostic.message), "what is said is printed");
}

void compile(const qapi_gen::MemoryReader& files, qapi_gen::Dialect dialect) {
  const auto schema = qapi_gen::load_schema("0.json", dialect, files);
  if (!schema) return check_refusal(schema.error());
  (void)qapi_gen::emit_cpp(**schema);
  (void)qapi_gen::emit_introspect(**schema);
  (void)qapi_gen::emit_keyval(**schema);
  (void)qapi_gen::emit_docs(**schema);
  for (const qapi_gen::Diagnostic& finding : qapi_gen::strict_check(**schema, {.major = 1, .minor = 1})) {
    CHECK(finding.at.file != nullptr && !finding.rule.empty(), "a finding has a place and a rule");
  }
}

}  // namespace

std::vector<Bytes> seeds() {
  std::vector<Bytes> result = {
      bytes_of("{'include':'1.json'}{'include':'2.json'}\x1e{'include':'2.json'}{'struct':'A','data':{'b':'B'}}\x1e"
               "{'enum':'B','data':['c']}"),
      bytes_of("{'include':'1.json'}\x1e{'include':'0.json'}")};
  for (const char* directory : {QAPI_GEN_TESTS "/accept", QAPI_GEN_TESTS "/refuse", QAPI_GEN_TESTS "/strict/accept",
                                QAPI_GEN_TESTS "/strict/refuse"}) {
    for (const auto& entry : std::filesystem::directory_iterator(directory)) {
      if (entry.path().extension() != ".json") continue;
      std::ifstream file(entry.path(), std::ios::binary);
      result.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
    }
  }
  return result;
}

}  // namespace pagurus::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pagurus;
  const auto files = fuzz::files_of({reinterpret_cast<const char*>(data), size});
  fuzz::compile(files, qapi_gen::Dialect::kQemu);
  fuzz::compile(files, qapi_gen::Dialect::kStrict);
  return 0;
}
