// The emitters on whole schemas; that the C++ compiles and does what it should is tests/emit's business.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "base/result.h"
#include "emit_cpp.h"
#include "emit_keyval.h"

namespace pagurus::qapi_gen {
namespace {

// A schema of several files, in a directory of its own.
class EmitTest : public testing::Test {
 protected:
  EmitTest() {
    directory_ = std::filesystem::temp_directory_path() / ("emit-test-" + std::to_string(getpid()));
    std::filesystem::create_directories(directory_);
  }
  ~EmitTest() override { std::filesystem::remove_all(directory_); }

  void write(const std::string& name, std::string_view text) { std::ofstream(directory_ / name) << text; }
  std::unique_ptr<Schema> load(const std::string& name = "main.json") {
    auto schema = load_schema((directory_ / name).string(), Dialect::kStrict);
    // Nothing can be emitted from a schema that the test itself has wrong.
    CHECK(schema.has_value(), schema.error().text().c_str());
    return std::move(*schema);
  }
  std::string cpp_error() {
    auto schema = load();
    auto files = emit_cpp(*schema);
    return files ? "accepted" : files.error().message;
  }

  std::filesystem::path directory_;
};

std::string text_of(const std::vector<OutputFile>& files, std::string_view path) {
  auto found = std::ranges::find(files, path, &OutputFile::path);
  return found != files.end() ? found->text : "";
}

TEST_F(EmitTest, the_files_follow_from_the_modules_names) {
  write("main.json", "{ 'include': 'run-state.json' }");
  write("run-state.json", "{ 'command': 'stop' }");
  auto schema = load();
  auto files = *emit_cpp(*schema);
  std::vector<std::string> paths;
  for (const OutputFile& file : files) paths.push_back(file.path);
  EXPECT_EQ(paths, (std::vector<std::string>{"schema/all_types.h", "schema/main.h", "schema/main.cc",
                                             "schema/main_commands.h", "schema/main_commands.cc",
                                             "schema/main_events.h", "schema/main_events.cc", "schema/run_state.h",
                                             "schema/run_state.cc", "schema/run_state_commands.h",
                                             "schema/run_state_commands.cc", "schema/run_state_events.h",
                                             "schema/run_state_events.cc"}));
  EXPECT_NE(text_of(files, "schema/run_state_commands.h").find("class RunStateCommands {"), std::string::npos);
}

TEST_F(EmitTest, the_same_schema_gives_the_same_text) {
  std::string root = std::string(QAPI_GEN_TESTS) + "/emit/main.json";
  auto first = load_schema(root, Dialect::kStrict);
  auto second = load_schema(root, Dialect::kStrict);
  ASSERT_TRUE(first && second) << first.error().text();
  auto one = *emit_cpp(**first), two = *emit_cpp(**second);
  ASSERT_EQ(one.size(), two.size());
  for (size_t i = 0; i < one.size(); ++i) EXPECT_EQ(one[i].text, two[i].text) << one[i].path;
  EXPECT_EQ((*emit_keyval(**first))[1].text, (*emit_keyval(**second))[1].text);
}

TEST_F(EmitTest, a_schema_without_a_command_line_gives_empty_files) {
  write("main.json", "{ 'struct': 'First', 'data': {} }");
  auto schema = load();
  auto files = *emit_keyval(*schema);
  ASSERT_EQ(files.size(), 2u);
  EXPECT_EQ(files[0].path, "schema/options.h");
  EXPECT_EQ(files[0].text.find("OptionInfo"), std::string::npos);
}

TEST_F(EmitTest, modules_that_use_each_others_types_are_refused) {
  write("main.json", "{ 'include': 'a.json' }\n{ 'include': 'b.json' }");
  write("a.json", "{ 'struct': 'First', 'data': { '*b': 'Second' } }");
  write("b.json", "{ 'struct': 'Second', 'data': { '*a': [ 'First' ] } }");
  EXPECT_NE(cpp_error().find("which uses its types in turn"), std::string::npos) << cpp_error();
}

TEST_F(EmitTest, names_that_cpp_spells_alike_are_refused) {
  write("main.json", "{ 'command': 'go', 'data': { 'a': 'int' } }\n{ 'struct': 'GoArguments', 'data': {} }");
  EXPECT_EQ(cpp_error(),
            "the arguments of 'go' would be called GoArguments in C++ as 'GoArguments' is; rename one of the two");
  write("main.json",
        "{ 'pragma': { 'member-name-exceptions': [ 'Kind' ] } }\n{ 'enum': 'Kind', 'data': [ 'a-b', 'aB' ] }");
  EXPECT_NE(cpp_error().find("would both be called kAB in C++"), std::string::npos) << cpp_error();
  write("main.json", "{ 'include': 'options.json' }");
  write("options.json", "{ 'struct': 'First', 'data': {} }");
  EXPECT_EQ(cpp_error(), "the files generated for it would be called schema/options.h, as another one is; rename it");
}

TEST_F(EmitTest, a_union_that_may_lose_all_its_values_is_refused) {
  write("main.json",
        "{ 'enum': 'Kind', 'data': [ { 'name': 'a', 'if': 'X' } ] }\n"
        "{ 'union': 'Thing', 'base': { 'e': 'Kind' }, 'discriminator': 'e', 'data': {} }");
  EXPECT_NE(cpp_error().find("every value of 'Kind' is conditional"), std::string::npos) << cpp_error();
}

TEST_F(EmitTest, an_option_that_has_to_be_given_is_refused) {
  write("main.json", "{ 'struct': 'CommandLineOptions', 'data': { 'name': 'str' } }");
  auto schema = load();
  auto files = emit_keyval(*schema);
  ASSERT_FALSE(files.has_value());
  EXPECT_EQ(files.error().message, "option 'name' must be optional: nobody has to give it");
  write("main.json", "{ 'struct': 'CommandLineOptions', 'data': { '*flags': [ 'bool' ] } }");
  schema = load();
  EXPECT_EQ(emit_keyval(*schema).error().message, "option 'flags' is a flag, which cannot be repeated");
}

}  // namespace
}  // namespace pagurus::qapi_gen
