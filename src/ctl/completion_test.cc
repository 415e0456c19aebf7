#include "ctl/completion.h"

#include <gtest/gtest.h>

#include "ctl/testing/small_schema.h"

namespace pagurus::ctl {
namespace {

using Words = std::vector<std::string>;

Completion at(std::string_view text) {
  static const Introspection known = testing::small_introspection();
  return complete(&known, text);
}
std::string inserted(std::string_view text) { return at(text).insert; }
Words choices(std::string_view text) { return at(text).choices; }

TEST(Completion, names_commands_and_the_shells_own_words) {
  EXPECT_EQ(inserted("la"), "mp");
  EXPECT_EQ(choices("lamp"), (Words{"lamp-list", "lamp-set", "lamp_group"}));
  EXPECT_EQ(inserted("lamp-s"), "et ");
  EXPECT_EQ(inserted("h"), "elp ");
  EXPECT_EQ(choices("e"), Words());
  EXPECT_EQ(inserted("help lamp-l"), "ist ");
  EXPECT_EQ(inserted("execute lamp_"), "group ");
  EXPECT_EQ(choices("").size(), 8U);
}

TEST(Completion, names_the_arguments_that_are_not_given_yet) {
  EXPECT_EQ(choices("lamp-set "), (Words{"name", "hue", "level", "scale", "lit", "power", "blink"}));
  EXPECT_EQ(choices("lamp-set name=x hue=red level=1 "), (Words{"scale", "lit", "power", "blink"}));
  EXPECT_EQ(inserted("lamp-set le"), "vel=");
  EXPECT_EQ(inserted("oob lamp-set le"), "vel=");
  EXPECT_EQ(inserted("lamp-set po"), "wer.");
}

TEST(Completion, goes_into_objects_and_lists) {
  EXPECT_EQ(choices("lamp-set power."), (Words{"from", "spare"}));
  EXPECT_EQ(choices("lamp-set power.from=battery power."), (Words{"spare", "cells"}));
  EXPECT_EQ(inserted("lamp_group lamps."), "0.");
  EXPECT_EQ(inserted("lamp_group lamps.0.name=a lamps."), "1.");
  EXPECT_EQ(inserted("lamp_group lamps.0."), "name=");
  EXPECT_EQ(inserted("lamp_group levels."), "0=");
}

TEST(Completion, names_values_that_can_be_counted) {
  EXPECT_EQ(choices("lamp-set hue="), (Words{"red", "green"}));
  EXPECT_EQ(inserted("lamp-set hue=g"), "reen ");
  EXPECT_EQ(inserted("lamp-set lit=of"), "f ");
  EXPECT_EQ(inserted("lamp-set power.from=m"), "ains ");
  EXPECT_EQ(inserted("lamp-set blink.0=r"), "ed ");
  EXPECT_EQ(inserted("lamp-set name="), "");
}

TEST(Completion, adds_nothing_where_nothing_is_known) {
  for (const char* text :
       {"hypercube ", "lamp-set hypercube.", "lamp-set level.", "lamp-set hypercube=", "'la", "lamp-set {",
        "lamp-set hue='r", "help lamp-set ", "lamp_group lamps.99999999999999999999."}) {
    EXPECT_EQ(inserted(text), "") << text;
    EXPECT_EQ(choices(text), Words()) << text;
  }
  EXPECT_EQ(complete(nullptr, "he").insert, "lp ");
  EXPECT_EQ(complete(nullptr, "query-status ").insert, "");
}

}  // namespace
}  // namespace pagurus::ctl
