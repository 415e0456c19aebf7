#include "options.h"

#include <gtest/gtest.h>

namespace pagurus::qapi_gen {
namespace {

Result<Options> parse(const std::vector<std::string>& words) { return parse_options(words, "1.1.0"); }

std::string refusal(const std::vector<std::string>& words) {
  const auto options = parse(words);
  return options ? "" : options.error().message();
}

TEST(Options, check_takes_files_and_is_strict_by_default) {
  const auto options = parse({"--check", "a.json", "b.json"});
  ASSERT_TRUE(options.has_value());
  EXPECT_EQ(options->action, Options::Action::kCheck);
  EXPECT_EQ(options->dialect, Dialect::kStrict);
  EXPECT_EQ(options->files, (std::vector<std::string>{"a.json", "b.json"}));
  EXPECT_EQ(parse({"a.json", "--no-strict", "--check"})->dialect, Dialect::kQemu);
  EXPECT_EQ(parse({"--no-strict", "--strict", "--check", "a.json"})->dialect, Dialect::kStrict);
}

TEST(Options, emit_takes_a_directory_and_one_file) {
  const auto options = parse({"--emit", "cpp", "--output=out", "--depfile", "out.d", "--", "--a.json"});
  ASSERT_TRUE(options.has_value()) << options.error().message();
  EXPECT_EQ(options->action, Options::Action::kEmit);
  EXPECT_EQ(options->emitter, "cpp");
  EXPECT_EQ(options->directory, "out");
  EXPECT_EQ(options->depfile, "out.d");
  EXPECT_EQ(options->files, std::vector<std::string>{"--a.json"});
}

TEST(Options, the_projects_version_is_the_programs_own_by_default) {
  EXPECT_EQ(parse({"--check", "a.json"})->project_version, (SinceVersion{.major = 1, .minor = 1}));
  EXPECT_EQ(parse({"--project-version", "2.10", "--check", "a.json"})->project_version,
            (SinceVersion{.major = 2, .minor = 10}));
  EXPECT_NE(refusal({"--project-version=2", "--check", "a.json"}).find("no version such as 1.1"), std::string::npos);
}

TEST(Options, help_and_version_need_nothing_else) {
  EXPECT_EQ(parse({"--help"})->action, Options::Action::kHelp);
  EXPECT_EQ(parse({"--version"})->action, Options::Action::kVersion);
}

TEST(Options, what_is_missing_is_named) {
  EXPECT_NE(refusal({}).find("--check or --emit"), std::string::npos);
  EXPECT_NE(refusal({"--check"}).find("file is required"), std::string::npos);
  EXPECT_NE(refusal({"--emit", "cpp", "a.json"}).find("--output"), std::string::npos);
  EXPECT_NE(refusal({"--emit"}).find("requires an argument"), std::string::npos);
  EXPECT_NE(refusal({"--emit=", "--output", "x", "a.json"}).find("empty"), std::string::npos);
}

TEST(Options, what_does_not_fit_is_refused) {
  EXPECT_NE(refusal({"--chek", "a.json"}).find("'--chek'"), std::string::npos);
  EXPECT_NE(refusal({"--check", "--emit", "cpp", "--output", "x", "a.json"}).find("--check"), std::string::npos);
  EXPECT_NE(refusal({"--check", "--output", "x", "a.json"}).find("only for --emit"), std::string::npos);
  EXPECT_NE(refusal({"--emit", "cpp", "--output", "x", "a.json", "b.json"}).find("one file"), std::string::npos);
}

}  // namespace
}  // namespace pagurus::qapi_gen
