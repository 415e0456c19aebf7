#include "ctl/history_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace pagurus::ctl {
namespace {

using Lines = std::vector<std::string>;

class HistoryFileTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string path = testing::TempDir() + "/pagurus-history-XXXXXX";
    ASSERT_NE(mkdtemp(path.data()), nullptr);
    directory_ = path;
    path_ = directory_ + "/a/b/history";
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }
  static mode_t mode(const std::string& path) {
    struct stat status {};
    EXPECT_EQ(stat(path.c_str(), &status), 0);
    return status.st_mode & 0777;
  }

  std::string directory_;
  std::string path_;
};

TEST_F(HistoryFileTest, is_made_for_its_owner_alone) {
  ASSERT_TRUE(HistoryFile::open(path_).has_value());
  EXPECT_EQ(mode(path_), 0600U);
  EXPECT_EQ(mode(directory_ + "/a/b"), 0700U);
  chmod(path_.c_str(), 0644);
  ASSERT_TRUE(HistoryFile::open(path_).has_value());
  EXPECT_EQ(mode(path_), 0600U);
}

TEST_F(HistoryFileTest, two_shells_share_it) {
  auto one = HistoryFile::open(path_);
  auto other = HistoryFile::open(path_);
  EXPECT_EQ(*one->load(), Lines());
  EXPECT_TRUE(one->append("a").has_value());
  EXPECT_TRUE(other->append("b").has_value());
  EXPECT_TRUE(one->append("c").has_value());
  EXPECT_EQ(*HistoryFile::open(path_)->load(), (Lines{"a", "b", "c"}));
}

TEST_F(HistoryFileTest, only_the_last_lines_stay) {
  auto file = HistoryFile::open(path_);
  std::ofstream many(path_);
  for (size_t i = 0; i <= 2 * HistoryFile::kMostLines; ++i) many << i << "\n";
  many.close();
  auto lines = file->load();
  ASSERT_EQ(lines->size(), HistoryFile::kMostLines);
  EXPECT_EQ(lines->back(), std::to_string(2 * HistoryFile::kMostLines));
  EXPECT_EQ(*HistoryFile::open(path_)->load(), *lines);
  EXPECT_LT(std::filesystem::file_size(path_), 6 * HistoryFile::kMostLines);
}

TEST_F(HistoryFileTest, a_place_that_cannot_be_is_named) {
  auto file = HistoryFile::open("/proc/none/history");
  ASSERT_FALSE(file.has_value());
  EXPECT_TRUE(file.error().message().find("/proc/none") != std::string::npos);
}

TEST_F(HistoryFileTest, stands_where_the_environment_says) {
  setenv("XDG_STATE_HOME", "/state", 1);
  EXPECT_EQ(HistoryFile::default_path(), "/state/pagurus/history");
  setenv("XDG_STATE_HOME", "relative", 1);
  setenv("HOME", "/home/p", 1);
  EXPECT_EQ(HistoryFile::default_path(), "/home/p/.local/state/pagurus/history");
  unsetenv("XDG_STATE_HOME");
  unsetenv("HOME");
  EXPECT_EQ(HistoryFile::default_path(), "");
}

}  // namespace
}  // namespace pagurus::ctl
