// The rules of the schema language by name: tests/accept has schemas that must load, tests/refuse schemas that
// must not, each with a file NAME.err beside it that says with what message.
//
// Both directories may have a folder with files to include, which are no cases of their own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "schema.h"

namespace pagurus::qapi_gen {
namespace {

namespace fs = std::filesystem;

fs::path directory(const std::string& verdict) { return fs::path(QAPI_GEN_TESTS) / verdict; }

// Names without extension of the files that have it, in order.
std::vector<std::string> names(const std::string& verdict, const std::string& extension) {
  std::set<std::string> found;
  for (const auto& entry : fs::directory_iterator(directory(verdict))) {
    if (entry.path().extension() == extension) found.insert(entry.path().stem().string());
  }
  return {found.begin(), found.end()};
}

std::string read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string test_name(const testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  for (char& c : name) {
    if (c == '-') c = '_';
  }
  return name;
}

// Runs in the directory of the schemas, so that messages show their paths as short as the .err files do.
class Rules : public testing::TestWithParam<std::string> {
 protected:
  void enter(const std::string& verdict) { fs::current_path(directory(verdict)); }
  void TearDown() override { fs::current_path(before_); }

 private:
  fs::path before_ = fs::current_path();
};

class Accept : public Rules {};
class Refuse : public Rules {};

TEST_P(Accept, schema) {
  enter("accept");
  const auto schema = load_schema(GetParam() + ".json", Dialect::kQemu);
  EXPECT_TRUE(schema.has_value()) << schema.error().text();
}

TEST_P(Refuse, schema) {
  enter("refuse");
  const fs::path expected = GetParam() + ".err";
  ASSERT_TRUE(fs::exists(expected)) << "the message belongs into " << expected;
  const auto schema = load_schema(GetParam() + ".json", Dialect::kQemu);
  ASSERT_FALSE(schema.has_value());
  EXPECT_EQ(schema.error().text() + "\n", read(expected));
}

TEST(Rules, every_message_has_a_schema) {
  EXPECT_THAT(names("refuse", ".json"), testing::IsSupersetOf(names("refuse", ".err")));
}

INSTANTIATE_TEST_SUITE_P(rule, Accept, testing::ValuesIn(names("accept", ".json")), test_name);
INSTANTIATE_TEST_SUITE_P(rule, Refuse, testing::ValuesIn(names("refuse", ".json")), test_name);

}  // namespace
}  // namespace pagurus::qapi_gen
