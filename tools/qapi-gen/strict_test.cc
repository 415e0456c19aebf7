// The strict rules by name: tests/strict/accept has schemas without findings, tests/strict/refuse schemas with
// findings of the rule that their names begin with, each with a file NAME.err that has the messages.
#include "strict.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "test_schema.h"

namespace pagurus::qapi_gen {
namespace {

namespace fs = std::filesystem;

constexpr SinceVersion kProject{.major = 1, .minor = 1};

fs::path directory(const std::string& verdict) { return fs::path(QAPI_GEN_TESTS) / "strict" / verdict; }

std::vector<std::string> names(const std::string& verdict) {
  std::set<std::string> found;
  for (const auto& entry : fs::directory_iterator(directory(verdict))) {
    if (entry.path().extension() == ".json") found.insert(entry.path().stem().string());
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
  std::ranges::replace(name, '-', '_');
  return name;
}

std::string text_of(const std::vector<Diagnostic>& findings) {
  std::string text;
  for (const Diagnostic& finding : findings) text += finding.text() + "\n";
  return text;
}

std::set<std::string> rules_of(const std::vector<Diagnostic>& findings) {
  std::set<std::string> rules;
  for (const Diagnostic& finding : findings) rules.insert(finding.rule);
  return rules;
}

// The schema stays, because findings point into its files.
struct CheckedSchema {
  std::unique_ptr<Schema> schema;
  std::vector<Diagnostic> findings;
};

CheckedSchema check(std::unique_ptr<Schema> schema) {
  std::vector<Diagnostic> findings = strict_check(*schema, kProject);
  return {.schema = std::move(schema), .findings = std::move(findings)};
}

// A schema's path is its name, so that messages are the same everywhere.
CheckedSchema check_file(const std::string& verdict, const std::string& name) {
  const std::string path = name + ".json";
  const MemoryReader::Files files{{path, read(directory(verdict) / path)}};
  auto schema = load_schema(path, Dialect::kStrict, MemoryReader(files));
  CHECK(schema.has_value(), schema.error().text().c_str());
  return check(std::move(*schema));
}

class StrictAccept : public testing::TestWithParam<std::string> {};
class StrictRefuse : public testing::TestWithParam<std::string> {};

TEST_P(StrictAccept, schema) { EXPECT_EQ(text_of(check_file("accept", GetParam()).findings), ""); }

TEST_P(StrictRefuse, schema) {
  const CheckedSchema checked = check_file("refuse", GetParam());
  const fs::path expected = directory("refuse") / (GetParam() + ".err");
  ASSERT_TRUE(fs::exists(expected)) << "the messages belong into " << expected;
  EXPECT_EQ(text_of(checked.findings), read(expected));
  ASSERT_EQ(rules_of(checked.findings).size(), 1u);
  EXPECT_TRUE(GetParam().starts_with(checked.findings.front().rule));
}

INSTANTIATE_TEST_SUITE_P(rule, StrictAccept, testing::ValuesIn(names("accept")), test_name);
INSTANTIATE_TEST_SUITE_P(rule, StrictRefuse, testing::ValuesIn(names("refuse")), test_name);

std::vector<std::string> all_rules() {
  std::vector<std::string> rules{"needless-exception"};
  for (const StrictRule& rule : strict_rules()) rules.emplace_back(rule.name);
  return rules;
}

TEST(Strict, every_rule_accepts_something_and_refuses_something) {
  for (const std::string& rule : all_rules()) {
    EXPECT_THAT(names("accept"), testing::Contains(testing::StartsWith(rule)));
    EXPECT_THAT(names("refuse"), testing::Contains(testing::StartsWith(rule)));
  }
}

TEST(Strict, rules_can_be_switched_off_for_one_definition) {
  constexpr std::string_view kWrong =
      "##\n# @go:\n#\n# Goes. it really does, over a local socket.\n#\n# @x: Right.\n#\n# @y: Down.  (Since 1.0)\n#\n"
      "# Features:\n#\n# @deprecated: Argument @y is deprecated.\n#\n# @unstable: Argument @x is not stable yet.\n#\n"
      "# Since: 1.7\n#\n# ::\n#\n"
      "#     an-example-that-is-so-long-that-it-does-not-fit-into-one-single-line\n##\n"
      "{ 'command': 'go', 'data': { 'y': 'int', 'x': 'int' },\n  'returns': 'Way', 'features': [ 'deprecated', "
      "'unstable' ] }\n{ 'struct': 'Way', 'data': {} }\n";
  const auto without = check(schema_of(kWrong));
  EXPECT_THAT(
      rules_of(without.findings),
      testing::UnorderedElementsAre("feature-members", "deprecated-instead", "member-order", "since-version",
                                    "since-addition", "returns", "line-length", "sentence-spaces", "unix-socket"))
      << text_of(without.findings);
  std::string pragma;
  for (const std::string& rule : rules_of(without.findings)) pragma += (pragma.empty() ? "'" : ",\n'") + rule + "'";
  const std::string text =
      "{ 'pragma': { 'strict-exceptions': { 'go': [\n" + pragma + " ] } } }\n" + std::string(kWrong);
  EXPECT_EQ(text_of(check(schema_of(text)).findings), "");
}

TEST(Strict, findings_are_sorted_by_place) {
  const auto checked = check(
      schema_of("##\n# @a:\n#\n# A. a.\n##\n{ 'command': 'a' }\n##\n# @b:\n#\n# B. b.\n##\n{ 'command': 'b' }\n"));
  std::vector<int> lines;
  for (const Diagnostic& finding : checked.findings) lines.push_back(finding.at.line);
  EXPECT_EQ(lines, (std::vector<int>{1, 4, 7, 10}));
}

TEST(SinceVersion, minor_versions_are_numbers) {
  EXPECT_LT(*SinceVersion::parse("1.9"), *SinceVersion::parse("1.10"));
  for (const std::string_view wrong : {"", "1", "1.", ".1", "1.1.1", "1.x", "01.1", "1.-1", "1.99999999999"}) {
    EXPECT_FALSE(SinceVersion::parse(wrong)) << wrong;
  }
}

}  // namespace
}  // namespace pagurus::qapi_gen
