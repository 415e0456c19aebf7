// Reading, with types written by hand in the way in which generated ones are.
#include "qapi/json_input.h"

#include <gtest/gtest.h>

#include "qapi/json_output.h"
#include "qapi/json_reader.h"
#include "qapi/keyval.h"

namespace pagurus::qapi {
namespace {

enum class Colour { kRed, kBlue };
Names enum_names(Colour) {
  static constexpr std::string_view kNames[] = {"red", "blue"};
  return kNames;
}
Result<void> visit(Visitor& visitor, std::string_view name, Colour& value) {
  return visit_enum(visitor, name, value, enum_names(value));
}

struct Port {
  uint16_t number = 0;
  std::optional<Colour> colour;
  bool operator==(const Port&) const = default;
};
Result<void> visit_members(Visitor& visitor, Port& value) {
  TRY(visit(visitor, "number", value.number));
  return visit(visitor, "colour", value.colour);
}
Result<void> visit(Visitor& visitor, std::string_view name, Port& value) { return visit_object(visitor, name, value); }

// "on", a number or a list of ports.
struct Choice {
  std::variant<bool, int64_t, std::vector<Port>> value;
  bool operator==(const Choice&) const = default;
};
Result<void> visit(Visitor& visitor, std::string_view name, Choice& value) {
  const Alternative forms[] = {
      {.kind = Alternative::Kind::kBool}, {.kind = Alternative::Kind::kInteger}, {.kind = Alternative::Kind::kList}};
  switch (TRY(visitor.choose(name, forms, value.value.index()))) {
    case 0: return visit(visitor, name, visited_branch<0>(visitor, value.value));
    case 1: return visit(visitor, name, visited_branch<1>(visitor, value.value));
    default: return visit(visitor, name, visited_branch<2>(visitor, value.value));
  }
}

struct Device {
  std::string id;
  int8_t level = 0;
  uint64_t memory = 0;
  std::optional<bool> on;
  std::vector<Port> ports;
  std::optional<Port> first;
  std::optional<Choice> choice;
  bool operator==(const Device&) const = default;
};
Result<void> visit(Visitor& visitor, std::string_view name, Device& value) {
  TRY(visitor.start_object(name));
  TRY(visit(visitor, "id", value.id));
  TRY(visit(visitor, "level", value.level));
  TRY(visit_size(visitor, "memory", value.memory));
  TRY(visit(visitor, "on", value.on));
  TRY(visit(visitor, "ports", value.ports));
  TRY(visit(visitor, "first", value.first));
  TRY(visit(visitor, "choice", value.choice));
  return visitor.end_object();
}

std::string json_error(std::string_view text) {
  auto json = parse_json(text);
  if (!json) return json.error().message();
  auto read = from_json<Device>(*json);
  return read ? "accepted" : read.error().message();
}

std::string keyval_error(std::string_view text) {
  auto read = from_keyval<Device>(text);
  return read ? "accepted" : read.error().message();
}

TEST(JsonInput, json_and_key_value_text_give_the_same_value) {
  auto from_text = from_keyval<Device>(
      "d0,level=-0x10,memory=64K,on=yes,ports.0.number=1,ports.1.number=2,"
      "ports.1.colour=blue,choice.0.number=7");
  ASSERT_TRUE(from_text.has_value()) << from_text.error().message();
  auto json = parse_json(R"({"id": "d0", "level": -16, "memory": 65536, "on": true,
      "ports": [{"number": 1}, {"number": 2, "colour": "blue"}], "choice": [{"number": 7}]})");
  EXPECT_TRUE(*from_text == *from_json<Device>(*json));
  EXPECT_EQ(to_json(*from_text), *json);
  // The JSON form of an option.
  EXPECT_TRUE(*from_keyval<Device>(json->text()) == *from_text);
}

TEST(JsonInput, the_same_mistake_gets_the_same_sentence) {
  struct Case {
    const char* json;
    const char* keyval;
    const char* sentence;
  };
  const Case kCases[] = {
      {R"({"level": 1})", "level=1", "Parameter 'id' is missing"},
      {R"({"id": "a", "level": 1, "memory": 0, "ports": [{"number": 1}, {"colour": "red"}]})",
       "a,level=1,memory=0,ports.0.number=1,ports.1.colour=red", "Parameter 'ports[1].number' is missing"},
      {R"({"id": "a", "level": 1, "memory": 0, "ports": [{"number": 1, "x": "y"}]})",
       "a,level=1,memory=0,ports.0.number=1,ports.0.x=y", "Parameter 'ports[0].x' is unexpected"},
      {R"({"id": "a", "level": "x"})", "a,level=x", "Invalid parameter type for 'level', expected: integer"},
      {R"({"id": "a", "level": 128})", "a,level=128", "Parameter 'level' expects a value from -128 to 127"},
      {R"({"id": "a", "level": 18446744073709551615})", "a,level=18446744073709551615",
       "Parameter 'level' expects a value from -128 to 127"},
      {R"({"id": "a", "level": 1, "memory": -1})", "a,level=1,memory=-1",
       "Parameter 'memory' expects a size such as 512, 64K or 2G"},
      {R"({"id": "a", "level": 1, "memory": 1, "on": "maybe"})", "a,level=1,memory=1,on=maybe",
       "Invalid parameter type for 'on', expected: boolean"},
      {R"({"id": "a", "level": 1, "memory": 1, "ports": "x"})", "a,level=1,memory=1,ports=x",
       "Invalid parameter type for 'ports', expected: array"},
      {R"({"id": "a", "level": 1, "memory": 1, "ports": ["x"]})", "a,level=1,memory=1,ports.0=x",
       "Invalid parameter type for 'ports[0]', expected: object"},
      {R"({"id": "a", "level": 1, "memory": 1, "ports": [{"number": -1}]})", "a,level=1,memory=1,ports.0.number=-1",
       "Parameter 'ports[0].number' expects a value from 0 to 65535"},
      {R"({"id": "a", "level": 1, "memory": 1, "ports": [{"number": 1, "colour": "pink"}]})",
       "a,level=1,memory=1,ports.0.number=1,ports.0.colour=pink",
       "Parameter 'ports[0].colour' does not accept value 'pink' (it accepts 'red', 'blue')"},
      {R"({"id": "a", "level": 1, "memory": 1, "ports": [{"number": 1}], "first": {"number": "x"}})",
       "a,level=1,memory=1,ports.0.number=1,first.number=x",
       "Invalid parameter type for 'first.number', expected: integer"},
      {R"({"id": "a", "level": 1, "memory": 1, "ports": [{"number": 1}], "choice": "x"})",
       "a,level=1,memory=1,ports.0.number=1,choice=x",
       "Invalid parameter type for 'choice', expected: boolean or integer or array"},
  };
  for (const Case& one : kCases) {
    EXPECT_EQ(json_error(one.json), one.sentence) << one.json;
    EXPECT_EQ(keyval_error(one.keyval), one.sentence) << one.keyval;
  }
}

TEST(JsonInput, an_object_made_with_a_member_twice_is_refused) {
  Json::Object members = {{"id", "a"}, {"level", 1}, {"memory", 1}, {"ports", Json::Array()}, {"id", "b"}};
  EXPECT_EQ(from_json<Device>(Json(members)).error().message(), "Parameter 'id' is given twice");
}

TEST(JsonInput, json_scalars_are_not_read_from_strings) {
  EXPECT_EQ(json_error(R"({"id": "a", "level": "1"})"), "Invalid parameter type for 'level', expected: integer");
  EXPECT_EQ(json_error(R"({"id": "a", "level": 1.0})"), "Invalid parameter type for 'level', expected: integer");
  EXPECT_EQ(json_error(R"({"id": "a", "level": 1, "memory": "64K"})"),
            "Invalid parameter type for 'memory', expected: integer");
  EXPECT_EQ(json_error(R"({"id": 1})"), "Invalid parameter type for 'id', expected: string");
  EXPECT_EQ(json_error("[]"), "Invalid parameter type for 'value', expected: object");
}

TEST(JsonInput, an_alternate_takes_each_of_its_forms) {
  auto choice = [](const char* text) { return *from_json<Choice>(*parse_json(text)); };
  EXPECT_EQ(choice("true").value.index(), 0u);
  EXPECT_EQ(choice("3").value.index(), 1u);
  EXPECT_EQ(choice("[]").value.index(), 2u);
  auto option = [](std::string text) {
    return from_keyval<Device>("a,level=1,memory=1,ports.0.number=1,choice=" + text);
  };
  EXPECT_EQ(option("on")->choice->value.index(), 0u);
  EXPECT_EQ(option("3")->choice->value.index(), 1u);
  auto list = *from_json<std::vector<Choice>>(*parse_json("[true, 3, [{\"number\": 4}]]"));
  EXPECT_EQ(list.size(), 3u);
  EXPECT_EQ(from_json<std::vector<Choice>>(*parse_json("[true, \"x\"]")).error().message(),
            "Invalid parameter type for '[1]', expected: boolean or integer or array");
}

TEST(JsonOutput, a_constant_is_written_without_being_touched) {
  static const Port kPort{.number = 7, .colour = Colour::kBlue};
  EXPECT_EQ(to_json(kPort).text(), R"({"number": 7, "colour": "blue"})");
  EXPECT_EQ(to_json(std::vector<bool>{true, false}).text(), "[true, false]");
}

TEST(Enum, values_have_names) {
  EXPECT_EQ(enum_value<Colour>("blue"), Colour::kBlue);
  EXPECT_EQ(enum_value<Colour>("green"), std::nullopt);
}

}  // namespace
}  // namespace pagurus::qapi
