#include "ctl/introspection.h"

#include <gtest/gtest.h>

#include "ctl/testing/small_schema.h"

namespace pagurus::ctl {
namespace {

using qapi::Json;
using testing::small_introspection;
using Words = std::vector<std::string>;

Words names(const std::vector<Introspection::Member>& members) {
  Words result;
  for (const auto& member : members) result.push_back(member.name);
  return result;
}

TEST(Introspection, knows_commands_and_no_events) {
  auto known = small_introspection();
  EXPECT_EQ(known.command_names(), (Words{"lamp-list", "lamp-set", "lamp_group"}));
  EXPECT_TRUE(known.command("lamp-list")->oob);
  EXPECT_FALSE(known.command("lamp-set")->oob);
  EXPECT_TRUE(known.command("lamp_group")->deprecated);
  EXPECT_EQ(known.command("LAMP_BROKEN"), nullptr);
}

TEST(Introspection, members_are_those_of_the_selected_variant) {
  auto known = small_introspection();
  EXPECT_EQ(names(known.members("5", Json())), (Words{"from", "spare"}));
  EXPECT_EQ(names(known.members("5", Json::object({{"from", "battery"}}))), (Words{"from", "spare", "cells"}));
  EXPECT_EQ(names(known.members("5", Json::object({{"from", "nowhere"}}))), (Words{"from", "spare"}));
  auto arguments = known.members("1", Json());
  EXPECT_FALSE(arguments[0].optional);
  EXPECT_TRUE(arguments[1].optional);
  EXPECT_TRUE(arguments.back().deprecated);
}

TEST(Introspection, choices_and_descriptions_are_for_people) {
  auto known = small_introspection();
  EXPECT_EQ(known.choices("4"), (Words{"red", "green"}));
  EXPECT_EQ(known.choices("7"), (Words{"on", "off"}));
  EXPECT_EQ(known.choices("str"), Words());
  EXPECT_EQ(known.description("7"), "on or off, or list of: red, green");
  EXPECT_EQ(known.description("4"), "one of red, green");
  EXPECT_EQ(known.description("[2]"), "list of: object");
  EXPECT_EQ(known.description("any"), "any value");
}

TEST(Introspection, what_is_not_understood_is_unknown_and_no_error) {
  auto strange =
      qapi::parse_json(R"([1, {}, {"name": "x", "meta-type": "hypercube"}, {"name": "y", "meta-type": "alternate",
    "members": [{"type": "y"}]}, {"name": "z", "meta-type": "array", "element-type": "z"}])");
  auto known = Introspection::from(*strange);
  ASSERT_TRUE(known.has_value());
  EXPECT_EQ(known->type("x").kind, Introspection::Kind::kUnknown);
  EXPECT_EQ(known->type("absent").kind, Introspection::Kind::kUnknown);
  EXPECT_EQ(known->choices("y"), Words());
  EXPECT_EQ(known->description("y"), "");
  EXPECT_EQ(known->description("z"), "list");
  EXPECT_FALSE(Introspection::from(Json("x")).has_value());
}

}  // namespace
}  // namespace pagurus::ctl
