#include "names.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace pagurus::qapi_gen {
namespace {

using testing::HasSubstr;
using testing::Optional;

TEST(Names, prefixes_are_no_part_of_the_stem) {
  EXPECT_THAT(name_stem("lamp"), Optional(std::string_view("lamp")));
  EXPECT_THAT(name_stem("x-lamp"), Optional(std::string_view("lamp")));
  EXPECT_THAT(name_stem("__org.example_lamp"), Optional(std::string_view("lamp")));
  EXPECT_THAT(name_stem("__org.example_x-lamp"), Optional(std::string_view("lamp")));
  EXPECT_THAT(name_stem("__org.example_lamp_post"), Optional(std::string_view("lamp_post")));
}

TEST(Names, an_experimental_prefix_needs_a_name_behind_it) {
  // Else it is a part of the name.
  EXPECT_THAT(name_stem("x-1"), Optional(std::string_view("x-1")));
  EXPECT_THAT(name_stem("x-"), Optional(std::string_view("x-")));
}

TEST(Names, what_is_no_name) {
  for (const char* bad : {"", "1lamp", "-lamp", "_lamp", "__lamp", "__org_", "__org_1", "__o,g_lamp", "la mp", "lamp!",
                          "q_lamp", "q-lamp", "__", "*lamp"}) {
    EXPECT_FALSE(name_stem(bad)) << bad;
  }
}

TEST(Names, those_that_c_cannot_tell_apart_have_one_identifier) {
  EXPECT_EQ(identifier("a-b"), "a_b");
  EXPECT_EQ(identifier("a.b"), "a_b");
  EXPECT_NE(identifier("a-b"), identifier("ab"));
}

TEST(Names, lower_case_is_judged_as_strictly_as_asked_for) {
  EXPECT_FALSE(lower_name_problem("lamp-post", Spelling::kStrict));
  EXPECT_THAT(lower_name_problem("lampPost_2", Spelling::kStrict), Optional(HasSubstr("'lamp-post-2' would be right")));
  EXPECT_THAT(lower_name_problem("__org.Example_lampPost", Spelling::kStrict),
              Optional(HasSubstr("'__org.Example_lamp-post' would be right")));
  EXPECT_FALSE(lower_name_problem("lamp_post", Spelling::kUnderscore));
  EXPECT_TRUE(lower_name_problem("lampPost", Spelling::kUnderscore));
  EXPECT_FALSE(lower_name_problem("lampPost_2", Spelling::kAny));
  EXPECT_TRUE(lower_name_problem("lamp post", Spelling::kAny));
}

TEST(Names, of_events) {
  EXPECT_FALSE(upper_name_problem("LAMP_ON"));
  EXPECT_FALSE(upper_name_problem("__org.example_LAMP_ON"));
  EXPECT_THAT(upper_name_problem("Lamp-On"), Optional(HasSubstr("'LAMP_ON' would be right")));
}

TEST(Names, of_types) {
  EXPECT_FALSE(camel_name_problem("LampPost2"));
  EXPECT_FALSE(camel_name_problem("LAMPs"));
  for (const char* bad : {"lampPost", "LAMP", "L", "Lamp_Post", "Lamp-Post", "LampList"}) {
    EXPECT_TRUE(camel_name_problem(bad)) << bad;
  }
}

TEST(Names, of_members_must_not_be_needed_by_generated_code) {
  EXPECT_THAT(member_name_problem("u", Spelling::kStrict), Optional(HasSubstr("reserved")));
  EXPECT_THAT(member_name_problem("has-lamp", Spelling::kStrict), Optional(HasSubstr("reserved")));
  EXPECT_FALSE(member_name_problem("hasty", Spelling::kStrict));
}

TEST(Names, of_values_may_start_with_a_digit) {
  EXPECT_FALSE(enum_value_problem("9p", Spelling::kStrict));
  EXPECT_TRUE(enum_value_problem("9P", Spelling::kStrict));
  EXPECT_TRUE(enum_value_problem("", Spelling::kStrict));
}

}  // namespace
}  // namespace pagurus::qapi_gen
