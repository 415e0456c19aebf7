#include "ctl/near_names.h"

#include <gtest/gtest.h>

namespace pagurus::ctl {
namespace {

using Words = std::vector<std::string>;

const Words kNames = {"query-status", "query-stats", "set_link", "migrate", "migrate_cancel", "x"};

TEST(NearNames, few_wrong_letters_are_forgiven) {
  EXPECT_EQ(near_names("qurey-status", kNames), (Words{"query-status", "query-stats"}));
  EXPECT_EQ(near_names("set-link", kNames), Words{"set_link"});
  EXPECT_EQ(near_names("migrat", kNames), (Words{"migrate", "migrate_cancel"}));
}

TEST(NearNames, a_part_of_a_name_finds_it) { EXPECT_EQ(near_names("cancel", kNames), Words{"migrate_cancel"}); }

TEST(NearNames, strange_words_find_nothing) {
  EXPECT_EQ(near_names("hypercube", kNames), Words());
  EXPECT_EQ(near_names("", kNames), Words{"x"});
  EXPECT_EQ(near_names(std::string(100'000, 'a'), kNames), Words());
  EXPECT_EQ(did_you_mean("hypercube", kNames), "");
  EXPECT_EQ(did_you_mean("migrat", kNames), "; did you mean 'migrate' or 'migrate_cancel'?");
}

}  // namespace
}  // namespace pagurus::ctl
