// What is generated from the schema beside this file, as those who use it see it.
#include <gtest/gtest.h>

#include "qapi/json_input.h"
#include "qapi/json_output.h"
#include "qapi/json_reader.h"
#include "schema/main_commands.h"
#include "schema/main_events.h"
#include "schema/options.h"

namespace pagurus::schema {
namespace {

using qapi::Json;

std::string error_of(const auto& result) { return result ? "accepted" : result.error().message(); }

Shape circle(std::string id, uint32_t radius) {
  Shape shape{.id = std::move(id), .layer = {}, .branch = {}};
  // Two values have circles, so the type alone would not tell which is meant.
  shape.branch.emplace<static_cast<size_t>(ShapeKind::kCircle)>(Circle{.radius = radius, .area = {}});
  return shape;
}

class Commands final : public MainCommands {
 public:
  Result<void> test_nothing(qapi::Call&) override {
    ++calls;
    return {};
  }
  Result<std::vector<Shape>> test_draw(qapi::Call&, TestDrawArguments arguments) override {
    ++calls;
    if (arguments.times == 0) return fail("Parameter 'times' expects a value from 1 to 255");
    drawn.push_back(std::move(arguments.shape));
    return drawn;
  }
  Result<Tree> test_keep(qapi::Call&, Tree arguments) override {
    ++calls;
    return arguments;
  }

  int calls = 0;
  std::vector<Shape> drawn;
};

class GeneratedCommands : public testing::Test {
 protected:
  GeneratedCommands() { register_commands(table_, commands_); }
  std::string execute(std::string_view name, std::string_view arguments) {
    auto result = table_.execute(name, call_, *qapi::parse_json(arguments));
    return result ? result->text() : result.error().message();
  }

  Commands commands_;
  qapi::CommandTable table_;
  std::vector<UniqueFd> fds_;
  qapi::Call call_{.fds = fds_};
};

TEST_F(GeneratedCommands, take_arguments_and_return_values) {
  EXPECT_EQ(execute("test-nothing", "{}"), "{}");
  EXPECT_EQ(execute("test-draw", R"({"shape": {"kind": "circle", "id": "c", "radius": 3}, "times": 2})"),
            R"([{"id": "c", "kind": "circle", "radius": 3}])");
  EXPECT_EQ(execute("test-keep", R"({"left": {"fruit": true}})"), R"({"left": {"fruit": true}})");
  EXPECT_EQ(commands_.calls, 3);
  EXPECT_EQ(execute("test-draw", R"({"shape": {"kind": "dot", "id": "d"}, "times": 0})"),
            "Parameter 'times' expects a value from 1 to 255");
}

TEST_F(GeneratedCommands, wrong_arguments_are_refused_before_anything_runs) {
  EXPECT_EQ(execute("test-nothing", R"({"x": 1})"), "Parameter 'x' is unexpected");
  EXPECT_EQ(execute("test-draw", "{}"), "Parameter 'shape' is missing");
  EXPECT_EQ(execute("test-draw", R"({"shape": {"kind": "circle", "id": "c"}})"), "Parameter 'shape.radius' is missing");
  EXPECT_EQ(execute("test-draw", R"({"shape": {"kind": "dot", "id": "c", "radius": 1}})"),
            "Parameter 'shape.radius' is unexpected");
  EXPECT_EQ(execute("test-draw", R"({"shape": {"kind": "square", "id": "c"}})"),
            "Parameter 'shape.kind' does not accept value 'square' (it accepts 'circle', 'group', 'dot', "
            "'second-circle', 'hollow')");
  EXPECT_EQ(execute("test-draw", R"({"shape": {"kind": "dot", "id": "c"}, "times": 256})"),
            "Parameter 'times' expects a value from 0 to 255");
  EXPECT_EQ(execute("test-draw", "[]"), "Invalid parameter type for 'arguments', expected: object");
  EXPECT_EQ(commands_.calls, 0);
}

TEST_F(GeneratedCommands, flags_are_those_of_the_schema) {
  EXPECT_EQ(table_.names(), (std::vector<std::string>{"test-draw", "test-keep", "test-nothing"}));
  EXPECT_TRUE(table_.find("test-nothing")->oob);
  EXPECT_FALSE(table_.find("test-nothing")->preconfig);
  EXPECT_TRUE(table_.find("test-draw")->preconfig);
  EXPECT_FALSE(table_.find("test-draw")->oob);
  // 'gen': false, and a condition that is not met.
  EXPECT_EQ(table_.find("test-by-hand"), nullptr);
  EXPECT_EQ(table_.find("test-absent"), nullptr);
}

TEST(GeneratedTypes, unions_hold_one_branch) {
  Shape shape = circle("c", 7);
  EXPECT_EQ(shape.kind(), ShapeKind::kCircle);
  EXPECT_EQ(shape.as_circle()->radius, 7u);
  EXPECT_EQ(shape.as_group(), nullptr);
  EXPECT_EQ(shape.as_second_circle(), nullptr);
  auto group = *qapi::from_json<Shape>(*qapi::parse_json(
      R"({"kind": "group", "id": "g", "members": [{"kind": "second-circle", "id": "x", "radius": 1}]})"));
  ASSERT_NE(group.as_group(), nullptr);
  EXPECT_EQ(group.as_group()->members.at(0).as_second_circle()->radius, 1u);
  Shape copy = group;
  EXPECT_TRUE(copy == group);
  EXPECT_FALSE(copy == shape);
}

TEST(GeneratedTypes, alternates_tell_which_form_they_have) {
  auto read = [](const char* text) { return *qapi::from_json<Flexible>(*qapi::parse_json(text)); };
  EXPECT_EQ(*read("true").as_flag(), true);
  EXPECT_EQ(*read("-3").as_number(), -3);
  EXPECT_EQ(*read("\"dot\"").as_kind(), ShapeKind::kDot);
  EXPECT_EQ(read("[\"red\"]").as_colours()->at(0), Colour::kRed);
  EXPECT_EQ(read("null").form(), Flexible::Form::kNothing);
  EXPECT_EQ(read("{\"id\": \"x\"}").as_details()->id, "x");
  EXPECT_EQ(error_of(qapi::from_json<Flexible>(Json("square"))),
            "Parameter 'value' does not accept value 'square' (it accepts 'circle', 'group', 'dot', 'second-circle', "
            "'hollow')");
  EXPECT_EQ(error_of(qapi::from_json<Flexible>(Json(0.5))),
            "Invalid parameter type for 'value', expected: boolean or array or integer or null or object or string");
}

TEST(GeneratedTypes, enums_know_their_names_and_conditions) {
  EXPECT_EQ(to_string(Colour::kLightBlue), "light-blue");
  EXPECT_EQ(to_string(Colour::kPresent), "present");
  EXPECT_EQ(enum_names(Colour()).size(), 6u);
  EXPECT_TRUE(enum_names(Nobody()).empty());
}

TEST(GeneratedEvents, carry_their_data) {
  EXPECT_EQ(test_quiet_event().name, "TEST_QUIET");
  EXPECT_TRUE(test_quiet_event().data.is_null());
  EXPECT_EQ(test_change_event({.what = "w", .by = 512}).data.text(), R"({"what": "w", "by": 512})");
  EXPECT_EQ(test_shape_event(circle("c", 1)).data.text(), R"({"id": "c", "kind": "circle", "radius": 1})");
}

CommandLineOptions options_of(std::initializer_list<std::pair<const char*, const char*>> words) {
  CommandLineOptions options;
  for (auto [name, value] : words) EXPECT_EQ(error_of(apply_option(options, name, value)), "accepted") << name;
  return options;
}

std::string option_error(const char* name, const char* value) {
  CommandLineOptions options;
  return error_of(apply_option(options, name, value));
}

TEST(GeneratedOptions, every_kind_of_value_is_read) {
  auto options = options_of({{"machine", "test-2,memory=m0"},
                             {"m", "64K"},
                             {"chardev", "file,id=a,path=/x,,y,append=on"},
                             {"chardev", R"({"backend": "socket", "id": "b", "address": {"host": "h", "port": 1}})"},
                             {"chardev", "socket,id=c,address.host=h,address.port=2,also.0.host=i,also.0.port=3"},
                             {"name", "{any text, at all"},
                             {"S", ""},
                             {"count", "8"},
                             {"colour", "test-1"},
                             {"fd", "1,2"},
                             {"fd", "3"}});
  EXPECT_EQ(options.machine->type, MachineKind::kTest2);
  EXPECT_EQ(options.m->size, 65536u);
  EXPECT_EQ(options.chardev->at(0).as_file()->path, "/x,y");
  EXPECT_EQ(options.chardev->at(1).as_socket()->address.port, 1);
  EXPECT_EQ(options.chardev->at(2).as_socket()->also->at(0).host, "i");
  EXPECT_EQ(options.name, "{any text, at all");
  EXPECT_EQ(options.S, true);
  EXPECT_EQ(options.count, 8);
  EXPECT_EQ(options.colour, MachineKind::kTest1);
  EXPECT_EQ(*options.fd, (std::vector<std::string>{"1,2", "3"}));
}

TEST(GeneratedOptions, mistakes_name_the_option) {
  EXPECT_EQ(option_error("chardev", "file,id=a"), "-chardev: Parameter 'path' is missing");
  EXPECT_EQ(option_error("chardev", R"({"backend": "file", "id": "a"})"), "-chardev: Parameter 'path' is missing");
  EXPECT_EQ(option_error("chardev", "pipe,id=a"),
            "-chardev: Parameter 'backend' does not accept value 'pipe' (it accepts 'file', 'null', 'socket')");
  EXPECT_EQ(option_error("m", "64Q"), "-m: Parameter 'size' expects a size such as 512, 64K or 2G");
  EXPECT_EQ(option_error("count", "x"), "-count: Invalid parameter type for 'count', expected: integer");
  EXPECT_EQ(option_error("vga", "x"), "-vga: there is no such option (see -help)");
  auto options = options_of({{"name", "a"}});
  EXPECT_EQ(error_of(apply_option(options, "name", "b")), "-name is given twice");
}

TEST(GeneratedOptions, the_table_follows_the_schema) {
  auto table = option_table();
  ASSERT_EQ(table.size(), 8u);
  EXPECT_EQ(table[0].name, "machine");
  EXPECT_EQ(table[0].argument, "[type=]test-1|test-2[,...]");
  EXPECT_EQ(table[2].help, "add a character device.");
  EXPECT_TRUE(table[2].repeatable);
  EXPECT_EQ(table[2].value, OptionInfo::Value::kKeyval);
  EXPECT_EQ(table[3].value, OptionInfo::Value::kText);
  EXPECT_EQ(table[4].value, OptionInfo::Value::kFlag);
}

TEST(GeneratedOptions, help_lists_branches_and_their_properties) {
  EXPECT_EQ(*option_help("chardev", ""),
            "-chardev takes one of:\n"
            "  file                       A file that is written to.\n"
            "  null                       writes nowhere\n"
            "  socket                     A socket that is listened on.\n");
  EXPECT_EQ(*option_help("chardev", "socket"),
            "-chardev socket takes:\n"
            "  id=TEXT                    its name (required)\n"
            "  address.host=TEXT          a name or number\n"
            "  address.port=NUMBER        the port\n"
            "  also.0.host=TEXT           a name or number\n"
            "  also.0.port=NUMBER         the port\n");
  EXPECT_EQ(*option_help("m", ""),
            "-m takes:\n"
            "  size=SIZE                  how much there is (required)\n"
            "  slots=NUMBER               how many more can be added\n"
            "  prealloc=on|off            whether it is there from the start\n");
  EXPECT_EQ(*option_help("S", ""), "-S\n  do not start it\n");
  EXPECT_EQ(error_of(option_help("chardev", "pipe")),
            "-chardev: there is no help for 'pipe' (there is for 'file', 'null', 'socket')");
  EXPECT_EQ(error_of(option_help("vga", "")), "-vga: there is no such option (see -help)");
}

}  // namespace
}  // namespace pagurus::schema
