#include "parser.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>

namespace pagurus::qapi_gen {
namespace {

using Files = MemoryReader::Files;

Checked<Parsed> parse_text(const std::string& text, Dialect dialect = Dialect::kQemu) {
  return parse("root.json", dialect, MemoryReader(MemoryReader::Files{{"root.json", text}}));
}

std::string refusal_of(Files files) {
  const auto parsed = parse("root.json", Dialect::kQemu, MemoryReader(std::move(files)));
  return parsed ? "" : parsed.error().text();
}
std::string refusal(const std::string& text) { return refusal_of({{"root.json", text}}); }

std::string repeated(std::string_view text, int times) {
  std::string result;
  while (times-- > 0) result += text;
  return result;
}

TEST(Parser, values_keep_their_order_and_place) {
  const auto parsed = parse_text("{ 'b': 'x',\n  'a': [ true, false, {} ] }\n");
  ASSERT_TRUE(parsed.has_value()) << parsed.error().text();
  ASSERT_EQ(parsed->expressions.size(), 1u);
  const Value& value = parsed->expressions[0].value;
  ASSERT_EQ(value.object().size(), 2u);
  EXPECT_EQ(value.object()[0].key, "b");
  EXPECT_EQ(value.object()[1].key, "a");
  EXPECT_EQ(value.object()[1].at.line, 2);
  EXPECT_EQ(value.object()[1].at.column, 3);
  EXPECT_EQ(value.find("b")->string(), "x");
  EXPECT_EQ(value.find("b")->at.column, 8);
  const Value::List& list = value.find("a")->list();
  ASSERT_EQ(list.size(), 3u);
  EXPECT_TRUE(list[0].boolean());
  EXPECT_FALSE(list[1].boolean());
  EXPECT_TRUE(list[2].object().empty());
  EXPECT_EQ(value.find("c"), nullptr);
}

TEST(Parser, includes_are_read_once_and_in_order) {
  const auto parsed =
      parse("a/root.json", Dialect::kQemu,
            MemoryReader(MemoryReader::Files{
                {"a/root.json", "{'x':'1'} {'include':'../b/one.json'} {'x':'4'} {'include':'two.json'}"},
                {"a/../b/one.json", "{'x':'2'} {'include':'../a/two.json'}"},
                {"a/../b/../a/two.json", "{'x':'3'}"}}));
  ASSERT_TRUE(parsed.has_value()) << parsed.error().text();
  std::string order;
  for (const Expression& expression : parsed->expressions) order += expression.value.find("x")->string();
  EXPECT_EQ(order, "1234");
  ASSERT_EQ(parsed->files.size(), 3u);
  EXPECT_EQ(parsed->files[1]->path, "a/../b/one.json");
  EXPECT_EQ(parsed->files[2]->includer, parsed->files[1]);
  EXPECT_EQ(parsed->expressions[2].module, parsed->files[2].get());
}

TEST(Parser, what_is_wrong_names_all_files_on_the_way) {
  EXPECT_EQ(refusal_of({{"root.json", "\n{'include':'a.json'}"}, {"a.json", "{'include':'b.json'}"}, {"b.json", "{]"}}),
            "In file included from root.json:2:\nIn file included from a.json:1:\n"
            "b.json:1:2: expected a string or '}', not ']'");
}

TEST(Parser, a_missing_root_is_named) {
  EXPECT_EQ(refusal_of(Files()), "root.json: cannot read the schema: No such file or directory");
}

TEST(Parser, include_chains_have_an_end) {
  Files files{{"root.json", "{'include':'0.json'}"}};
  for (int i = 0; i < 2000; ++i)
    files[std::to_string(i) + ".json"] = "{'include':'" + std::to_string(i + 1) + ".json'}";
  EXPECT_NE(refusal_of(std::move(files)).find("more than 400 levels deep"), std::string::npos);
}

TEST(Parser, includes_may_be_deep) {
  Files files{{"root.json", "{'include':'0.json'}"}};
  for (int i = 0; i < 350; ++i) files[std::to_string(i) + ".json"] = "{'include':'" + std::to_string(i + 1) + ".json'}";
  files["350.json"] = "";
  EXPECT_EQ(refusal_of(std::move(files)), "");
}

TEST(Parser, values_may_be_deep_but_not_endlessly) {
  EXPECT_EQ(refusal("{'a':" + repeated("[", 499) + repeated("]", 499) + "}"), "");
  EXPECT_NE(refusal("{'a':" + repeated("[", 500) + repeated("]", 500) + "}").find("more than 500 levels"),
            std::string::npos);
  EXPECT_NE(refusal(repeated("{'a':", 1'000'000)).find("more than 500 levels"), std::string::npos);
}

TEST(Parser, pragmas_are_collected) {
  const auto parsed = parse_text(
      "{ 'pragma': { 'doc-required': true, 'command-name-exceptions': [ 'a' ], 'command-returns-exceptions': [ 'b' ],"
      " 'documentation-exceptions': [ 'c' ], 'member-name-exceptions': [ 'd', 'e' ] } }\n"
      "{ 'pragma': { 'command-name-exceptions': [ 'f' ] } }");
  ASSERT_TRUE(parsed.has_value()) << parsed.error().text();
  using Names = std::set<std::string>;
  EXPECT_TRUE(parsed->pragmas.doc_required);
  EXPECT_EQ(parsed->pragmas.command_name_exceptions, Names({"f"}));
  EXPECT_EQ(parsed->pragmas.command_returns_exceptions, Names({"b"}));
  EXPECT_EQ(parsed->pragmas.documentation_exceptions, Names({"c"}));
  EXPECT_EQ(parsed->pragmas.member_name_exceptions, Names({"d", "e"}));
  EXPECT_TRUE(parsed->expressions.empty());
}

TEST(Parser, strict_exceptions_are_added_up_and_only_strict) {
  const std::string text =
      "{ 'pragma': { 'strict-exceptions': { 'Lamp': [ 'since' ] } } }\n"
      "{ 'pragma': { 'strict-exceptions': { 'Lamp': [ 'returns' ], 'Bulb': [] } } }\n";
  const auto parsed = parse_text(text, Dialect::kStrict);
  ASSERT_TRUE(parsed.has_value()) << parsed.error().text();
  ASSERT_EQ(parsed->pragmas.strict_exceptions.size(), 2u);
  EXPECT_EQ(parsed->pragmas.strict_exceptions.at("Lamp"), (std::set<std::string>{"returns", "since"}));
  EXPECT_FALSE(parse_text(text, Dialect::kQemu).has_value());
  EXPECT_FALSE(parse_text("{ 'pragma': { 'strict-exceptions': [] } }", Dialect::kStrict).has_value());
  EXPECT_FALSE(parse_text("{ 'pragma': { 'strict-exceptions': { 'A': 'x' } } }", Dialect::kStrict).has_value());
}

// Each of these would take minutes if anything grew with the square of its size.
TEST(Parser, time_grows_with_the_size_only) {
  const auto start = std::chrono::steady_clock::now();
  std::string keys = "{";
  for (int i = 0; i < 100'000; ++i) keys += "'" + std::to_string(i) + "':'x',";
  EXPECT_NE(refusal(keys), "");
  EXPECT_EQ(refusal("{'a':[" + repeated("'x', ", 200'000) + "'x']}"), "");
  EXPECT_EQ(refusal(repeated("{'a':'b'} ", 50'000)), "");
  EXPECT_EQ(refusal(repeated("\n", 1'000'000)), "");
  std::string members = "##\n# @A:\n";
  for (int i = 0; i < 50'000; ++i) members += "# @m" + std::to_string(i) + ": text\n";
  EXPECT_EQ(refusal(members + "##\n{'struct': 'A'}"), "");
  EXPECT_EQ(refusal("##\n" + repeated("# 1 e.g. e.g. e.g.\n", 50'000) + "##\n"), "");
  EXPECT_NE(refusal("##\n# " + repeated("e.g. \u00e4", 300'000) + "\n##\n"), "");
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(30));
}

class ParserOnDisk : public testing::Test {
 protected:
  ParserOnDisk() {
    std::string name = (std::filesystem::temp_directory_path() / "qapi-gen-XXXXXX").string();
    directory_ = ::mkdtemp(name.data());
  }
  ~ParserOnDisk() override { std::filesystem::remove_all(directory_); }

  std::string refusal(const std::string& name) const {
    const auto parsed = parse((directory_ / name).string(), Dialect::kQemu);
    return parsed ? "" : parsed.error().message;
  }

  std::filesystem::path directory_;
};

TEST_F(ParserOnDisk, what_is_no_file_is_refused_without_waiting) {
  EXPECT_NE(refusal("missing.json").find("No such file"), std::string::npos);
  EXPECT_NE(refusal(".").find("Is a directory"), std::string::npos);
  ASSERT_EQ(::mkfifo((directory_ / "pipe").c_str(), 0600), 0);
  EXPECT_NE(refusal("pipe").find("not a regular file"), std::string::npos);
}

TEST_F(ParserOnDisk, files_have_a_largest_size) {
  const auto path = directory_ / "huge.json";
  FILE* file = std::fopen(path.c_str(), "w");
  ASSERT_NE(file, nullptr);
  std::fclose(file);
  // A hole: takes no space, and is far larger than memory.
  ASSERT_EQ(::truncate(path.c_str(), int64_t{1} << 42), 0);
  EXPECT_NE(refusal("huge.json").find("larger than 64 MiB"), std::string::npos);
}

TEST_F(ParserOnDisk, files_without_a_size_are_read_to_their_end) {
  const auto text = DiskReader().read("/proc/self/status");
  ASSERT_TRUE(text.has_value());
  EXPECT_NE(text->find("Name:"), std::string::npos);
}

}  // namespace
}  // namespace pagurus::qapi_gen
