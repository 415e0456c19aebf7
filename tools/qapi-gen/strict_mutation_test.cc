// The project's own schema has no findings, and each strict rule notices when it is broken there.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "base/result.h"
#include "strict.h"

namespace pagurus::qapi_gen {
namespace {

namespace fs = std::filesystem;

// A change to one file of the schema that breaks this rule and no other.
struct Mutation {
  std::string rule;
  std::string file;
  std::string from;
  std::string to;
};

const std::vector<Mutation> kMutations = {
    {"feature-members", "net.json", "@deprecated: Member @local-incoming is", "@deprecated: Member @downscript is"},
    {"deprecated-instead", "net.json", "`migrate-set-parameters` instead: with", "`migrate-set-parameters`: with"},
    {"member-order", "run-state.json",
     "# @running: Whether the guest runs, in this process.\n#\n# @status: The state by name.\n",
     "# @status: The state by name.\n#\n# @running: Whether the guest runs, in this process.\n"},
    {"since-present", "run-state.json",
     "stand still until `cont`.  Packets for it wait in the host.  Does\n# nothing if the guest does not run.\n#\n"
     "# Since: 1.0\n",
     "stand still until `cont`.  Packets for it wait in the host.  Does\n# nothing if the guest does not run.\n"},
    {"since-form", "run-state.json", "# The power button was pressed, by `system_powerdown`.\n#\n# Since: 1.0\n",
     "# The power button was pressed, by `system_powerdown`.\n#\n# Since: 1.0.0\n"},
    {"since-version", "run-state.json", "# The power button was pressed, by `system_powerdown`.\n#\n# Since: 1.0\n",
     "# The power button was pressed, by `system_powerdown`.\n#\n# Since: 99.0\n"},
    {"since-addition", "control.json", "default.  (Since 1.1)", "default.  (Since 1.1)  (Since 1.1)"},
    {"returns", "machine.json", "# Returns: The UUID.\n#\n", ""},
    {"line-length", "run-state.json", "{ 'event': 'POWERDOWN' }",
     "{ 'event':                                                 'POWERDOWN' }"},
    {"sentence-spaces", "command-line.json", "Name of the guest.  `query-name`", "Name of the guest. `query-name`"},
    {"unix-socket", "migration.json", "requires a UNIX domain socket as its channel",
     "needs a UNIX domain socket as its channel"},
    {"needless-exception", "main.json", "{ 'include': 'control.json' }",
     "{ 'pragma': { 'strict-exceptions': {\n    'stop': [ 'since-form' ] } } }\n{ 'include': 'control.json' }"},
};

MemoryReader::Files own_schema() {
  MemoryReader::Files files;
  for (const auto& entry : fs::directory_iterator(QAPI_SCHEMA)) {
    std::stringstream text;
    text << std::ifstream(entry.path(), std::ios::binary).rdbuf();
    if (entry.path().extension() == ".json") files[entry.path().filename()] = text.str();
  }
  return files;
}

// What the rules say about it, and the rules by name.
struct Verdict {
  std::set<std::string> rules;
  std::string text;
};

Verdict judge(MemoryReader::Files files) {
  Verdict verdict;
  const auto schema = load_schema("main.json", Dialect::kStrict, MemoryReader(std::move(files)));
  if (!schema) return {.rules = {"the language"}, .text = schema.error().text()};
  std::string version = PAGURUS_VERSION;
  version = version.substr(0, version.rfind('.'));
  for (const Diagnostic& finding : strict_check(**schema, *SinceVersion::parse(version))) {
    verdict.rules.insert(finding.rule);
    verdict.text += finding.text() + "\n";
  }
  return verdict;
}

TEST(StrictMutation, our_own_schema_has_no_findings) { EXPECT_EQ(judge(own_schema()).text, ""); }

class StrictMutations : public testing::TestWithParam<Mutation> {};

TEST_P(StrictMutations, is_noticed_by_its_rule) {
  const Mutation& mutation = GetParam();
  MemoryReader::Files files = own_schema();
  std::string& text = files[mutation.file];
  const size_t at = text.find(mutation.from);
  ASSERT_NE(at, std::string::npos) << "choose another place to break " << mutation.file;
  text.replace(at, mutation.from.size(), mutation.to);
  const Verdict verdict = judge(std::move(files));
  EXPECT_EQ(verdict.rules, std::set<std::string>{mutation.rule}) << verdict.text;
}

INSTANTIATE_TEST_SUITE_P(of, StrictMutations, testing::ValuesIn(kMutations), [](const auto& mutation) {
  std::string name = mutation.param.rule;
  std::ranges::replace(name, '-', '_');
  return name;
});

TEST(StrictMutation, there_is_one_for_every_rule) {
  std::set<std::string> mutated, all{"needless-exception"};
  for (const Mutation& mutation : kMutations) mutated.insert(mutation.rule);
  for (const StrictRule& rule : strict_rules()) all.emplace(rule.name);
  EXPECT_EQ(mutated, all);
}

}  // namespace
}  // namespace pagurus::qapi_gen
