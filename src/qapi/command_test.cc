#include "qapi/command.h"

#include <gtest/gtest.h>

namespace pagurus::qapi {
namespace {

TEST(CommandTable, executes_by_name) {
  CommandTable table;
  table.add({.name = "echo", .oob = true}, [](Call&, const Json& arguments) -> Result<Json> { return arguments; });
  table.add({.name = "about"}, [](Call&, const Json&) -> Result<Json> { return Json::object(); });
  std::vector<UniqueFd> fds;
  Call call{.fds = fds};
  Json arguments = Json::object({{"a", 1}});
  EXPECT_EQ(*table.execute("echo", call, arguments), arguments);
  EXPECT_EQ(table.names(), (std::vector<std::string>{"about", "echo"}));
  EXPECT_TRUE(table.find("echo")->oob);
  EXPECT_FALSE(table.find("about")->oob);
  EXPECT_EQ(table.find("nothing"), nullptr);
}

TEST(CommandTable, says_which_command_there_is_not) {
  std::vector<UniqueFd> fds;
  Call call{.fds = fds};
  auto result = CommandTable().execute("nothing", call, Json::object());
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().message(), "The command nothing has not been found");
  EXPECT_EQ(result.error().error_class(), ErrorClass::kCommandNotFound);
}

TEST(CommandTable, a_command_without_arguments_refuses_some) {
  EXPECT_TRUE(no_arguments(Json::object()).has_value());
  EXPECT_EQ(no_arguments(Json::object({{"a", 1}})).error().message(), "Parameter 'a' is unexpected");
  EXPECT_FALSE(no_arguments(Json(1)).has_value());
}

TEST(CommandTableDeathTest, a_name_is_in_the_table_once) {
  CommandTable table;
  auto handler = [](Call&, const Json&) -> Result<Json> { return Json(); };
  table.add({.name = "a"}, handler);
  EXPECT_DEATH(table.add({.name = "a"}, handler), "every command is in the table once");
}

}  // namespace
}  // namespace pagurus::qapi
