#include "output_writer.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>

namespace pagurus::qapi_gen {
namespace {

class OutputWriterTest : public testing::Test {
 protected:
  OutputWriterTest() {
    std::string name = (std::filesystem::temp_directory_path() / "qapi-gen-XXXXXX").string();
    directory_ = ::mkdtemp(name.data());
  }
  ~OutputWriterTest() override { std::filesystem::remove_all(directory_); }

  std::filesystem::path directory_;
};

TEST_F(OutputWriterTest, directories_are_made) {
  ASSERT_TRUE(write_files((directory_ / "a").string(), {{"schema/b.h", "text\n"}}).has_value());
  EXPECT_EQ(DiskReader().read((directory_ / "a/schema/b.h").string()).value(), "text\n");
}

TEST_F(OutputWriterTest, only_what_changes_is_touched) {
  const auto path = directory_ / "b.h";
  ASSERT_TRUE(write_files(directory_.string(), {{"b.h", "one\n"}}).has_value());
  const auto old = std::filesystem::last_write_time(path) - std::chrono::hours(1);
  std::filesystem::last_write_time(path, old);
  ASSERT_TRUE(write_files(directory_.string(), {{"b.h", "one\n"}}).has_value());
  EXPECT_EQ(std::filesystem::last_write_time(path), old);
  ASSERT_TRUE(write_files(directory_.string(), {{"b.h", "two\n"}}).has_value());
  EXPECT_NE(std::filesystem::last_write_time(path), old);
  EXPECT_EQ(DiskReader().read(path.string()).value(), "two\n");
}

TEST_F(OutputWriterTest, what_cannot_be_written_is_named) {
  const auto done = write_files("/proc/self", {{"cmdline/x.h", "text"}});
  ASSERT_FALSE(done.has_value());
  EXPECT_NE(done.error().message().find("/proc/self/cmdline/x.h"), std::string::npos) << done.error().message();
}

TEST_F(OutputWriterTest, depfile_names_all_files_and_escapes_them) {
  const auto parsed =
      parse("my $dir/a#.json", Dialect::kQemu,
            MemoryReader(MemoryReader::Files{{"my $dir/a#.json", "{ 'include': 'b.json' }"}, {"my $dir/b.json", ""}}));
  ASSERT_TRUE(parsed.has_value()) << parsed.error().text();
  EXPECT_EQ(depfile_text("out", {{"schema/a.h", ""}, {"schema/a.cc", ""}}, *parsed),
            "out/schema/a.h out/schema/a.cc: \\\n  my\\ $$dir/a\\#.json \\\n  my\\ $$dir/b.json\n");
}

}  // namespace
}  // namespace pagurus::qapi_gen
