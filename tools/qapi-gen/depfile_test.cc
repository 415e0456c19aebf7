#include "depfile.h"

#include <gtest/gtest.h>

namespace pagurus::qapi_gen {
namespace {

TEST(Depfile, names_every_file_that_was_read) {
  Parsed parsed;
  for (const char* path : {"qapi/main.json", "a b/$x#.json"}) {
    parsed.files.push_back(std::make_unique<SourceFile>());
    parsed.files.back()->path = path;
  }
  EXPECT_EQ(depfile_text("out/schema/main.h", parsed),
            "out/schema/main.h: \\\n  qapi/main.json \\\n  a\\ b/$$x\\#.json\n");
}

}  // namespace
}  // namespace pagurus::qapi_gen
