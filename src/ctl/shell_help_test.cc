#include "ctl/shell_help.h"

#include <gtest/gtest.h>

#include "ctl/shell.h"
#include "ctl/testing/small_schema.h"

namespace pagurus::ctl {
namespace {

using qapi::Json;

TEST(ShellHelp, shows_arguments_with_their_types) {
  auto known = testing::small_introspection();
  EXPECT_EQ(command_help(&known, "lamp-set"),
            "lamp-set\n"
            "  name         string\n"
            "  hue          one of red, green (optional)\n"
            "  level        integer (optional)\n"
            "  scale        number (optional)\n"
            "  lit          on or off (optional)\n"
            "  power        object (optional)\n"
            "  power.from   one of mains, battery\n"
            "  power.spare  on or off (optional)\n"
            "  power.volts  integer (with power.from=mains)\n"
            "  power.cells  integer (with power.from=battery)\n"
            "  blink        on or off, or list of: red, green (optional, deprecated)\n");
  EXPECT_EQ(command_help(&known, "lamp-list"),
            "lamp-list, also out of band\n  takes no arguments\nreturns: list of: object\n");
}

TEST(ShellHelp, unknown_commands_get_a_suggestion) {
  auto known = testing::small_introspection();
  EXPECT_EQ(command_help(&known, "lamp-sett"), "There is no command 'lamp-sett'; did you mean 'lamp-set'?\n");
  EXPECT_EQ(command_help(nullptr, "x"), "The server does not tell its commands.\n");
}

TEST(ShellHelp, types_that_contain_themselves_end) {
  auto schema = qapi::parse_json(R"([{"name": "c", "meta-type": "command", "arg-type": "t", "ret-type": "t"},
    {"name": "t", "meta-type": "object", "members": [{"name": "m", "type": "t"}]}])");
  auto known = Introspection::from(*schema);
  EXPECT_EQ(command_help(&*known, "c"),
            "c\n  m        object\n  m.m      object\n  m.m.m    object\n  m.m.m.m  object\nreturns: object\n");
}

TEST(ShellHelp, columns_fit_the_width) {
  EXPECT_EQ(columns_text({"aa", "b", "ccc", "d", "e"}, 9), "aa   d\nb    e\nccc\n");
  EXPECT_EQ(columns_text({"aa", "b"}, 1), "aa\nb\n");
  EXPECT_EQ(columns_text({}, 80), "");
}

TEST(EventText, shows_time_name_and_data) {
  auto event =
      qapi::parse_json(R"({"event": "STOP", "timestamp": {"seconds": 86400, "microseconds": 7999}, "data": {"a": 1}})");
  EXPECT_TRUE(event_text(*event).ends_with(R"(:00.007 STOP {"a": 1})")) << event_text(*event);
  EXPECT_EQ(event_text(Json::object({{"event", "X"}})), "X");
  EXPECT_EQ(event_text(Json(1)), "an event without a name");
}

}  // namespace
}  // namespace pagurus::ctl
