#include "qapi/keyval.h"

#include <gtest/gtest.h>

namespace pagurus::qapi {
namespace {

std::string tree(std::string_view text, std::string_view implied = "type") {
  auto parsed = parse_keyval(text, implied);
  return parsed ? parsed->tree.text() : parsed.error().message();
}

TEST(Keyval, the_first_value_may_omit_its_key) {
  EXPECT_EQ(tree("tap,id=n0,script=/a,,b"), R"({"type": "tap", "id": "n0", "script": "/a,b"})");
  EXPECT_EQ(tree("type=tap,id=n0"), R"({"type": "tap", "id": "n0"})");
  EXPECT_EQ(tree("a,,b"), R"({"type": "a,b"})");
  EXPECT_EQ(tree("id=x=y"), R"({"id": "x=y"})");
  EXPECT_EQ(tree(""), "{}");
  EXPECT_EQ(tree("id="), R"({"id": ""})");
}

TEST(Keyval, dots_make_objects_and_numbers_make_lists) {
  EXPECT_EQ(tree("a.b=1,c.1=y,c.0=x,a.c.d=2", ""), R"({"a": {"b": "1", "c": {"d": "2"}}, "c": ["x", "y"]})");
  EXPECT_EQ(tree("l.0.a=1,l.0.b=2,l.1.a=3", ""), R"({"l": [{"a": "1", "b": "2"}, {"a": "3"}]})");
  EXPECT_EQ(tree("l.0.0=x", ""), R"({"l": [["x"]]})");
}

TEST(Keyval, a_list_has_no_gap_and_nothing_but_elements) {
  EXPECT_EQ(tree("l.0=a,l.2=b"), "Parameter 'l[1]' is missing");
  EXPECT_EQ(tree("l.1=a"), "Parameter 'l[0]' is missing");
  EXPECT_EQ(tree("l.00=a"), "Parameter 'l[0]' is missing");
  EXPECT_EQ(tree("l.0=a,l.x=b"), "Parameter 'l' is a list with a part 'x', which is no index");
  EXPECT_EQ(tree("l.99999999999999999999=a"), "Parameter 'l[0]' is missing");
}

TEST(Keyval, what_is_said_twice_is_refused) {
  EXPECT_EQ(tree("tap,id=a,id=b"), "Parameter 'id' is given twice");
  EXPECT_EQ(tree("tap,type=b"), "Parameter 'type' is given twice");
  EXPECT_EQ(tree("a.b=1,a.b=1"), "Parameter 'a.b' is given twice");
  EXPECT_EQ(tree("a.0=1,a.0=1"), "Parameter 'a[0]' is given twice");
  EXPECT_EQ(tree("a=1,a.b=2"), "Parameter 'a' has a value already, so it cannot have parts such as 'a.b'");
  EXPECT_EQ(tree("a.b=2,a=1"), "Parameter 'a' has parts already, so it cannot have a value");
}

TEST(Keyval, what_is_no_parameter_is_refused) {
  EXPECT_EQ(tree("tap,vhost"), "Expected '=' and a value after 'vhost'");
  EXPECT_EQ(tree("tap", ""), "Expected '=' and a value after 'tap'");
  EXPECT_EQ(tree("tap,"), "Expected a parameter after ','");
  EXPECT_EQ(tree("tap,,,id=x"), R"({"type": "tap,", "id": "x"})");
  for (const char* text : {"=x", "a,=x", "a,b..c=x", "a,.b=x", "a,b.=x", "a,0=x", "a,b c=x", "a,\xc3\xa4=x"})
    EXPECT_TRUE(tree(text).find("is no name of a parameter") != std::string::npos) << tree(text);
}

TEST(Keyval, size_number_and_depth_are_bounded) {
  EXPECT_FALSE(parse_keyval(std::string(kMaxKeyvalBytes + 1, 'a'), "type").has_value());
  EXPECT_TRUE(parse_keyval(std::string(kMaxKeyvalBytes, 'a'), "type").has_value());
  std::string many;
  for (size_t i = 0; i <= kMaxKeyvalKeys; ++i) many += (i > 0 ? ",k" : "k") + std::to_string(i) + "=";
  EXPECT_EQ(tree(many), "there are more than 1024 parameters");
  std::string deep = "a";
  for (size_t i = 1; i < kMaxKeyvalDepth; ++i) deep += ".a";
  EXPECT_TRUE(parse_keyval(deep + "=1", "").has_value());
  EXPECT_FALSE(parse_keyval(deep + ".a=1", "").has_value());
}

TEST(Keyval, a_brace_begins_json) {
  auto parsed = *parse_keyval(R"({"id": "n0", "queues": 2})", "type");
  EXPECT_EQ(parsed.scalars, JsonInput::Scalars::kJson);
  EXPECT_EQ(parsed.tree.text(), R"({"id": "n0", "queues": 2})");
  EXPECT_EQ(tree("{\"id\": "), "JSON parse error, the text ends in the middle of a value");
}

TEST(Keyval, a_value_becomes_text_again) {
  Json value = Json::object({{"a", Json::object({{"b", "1,2"}})}, {"l", Json::Array{"x", Json::object({{"c", "y"}})}}});
  EXPECT_EQ(keyval_text(value), "a.b=1,,2,l.0=x,l.1.c=y");
  EXPECT_EQ(keyval_text(Json::object({{"b", true}, {"n", -1}, {"f", 0.5}})), "b=on,n=-1,f=0.5");
  EXPECT_EQ(keyval_text(Json::object({{"l", Json::Array()}})), std::nullopt);
  EXPECT_EQ(keyval_text(Json::object({{"n", Json()}})), std::nullopt);
}

TEST(Keyval, help_is_asked_for_alone_or_behind_a_value) {
  EXPECT_EQ(help_request("help"), "");
  EXPECT_EQ(help_request("?"), "");
  EXPECT_EQ(help_request("tap,help"), "tap");
  EXPECT_EQ(help_request("type=tap,help"), "tap");
  EXPECT_EQ(help_request("tap,id=help"), std::nullopt);
  EXPECT_EQ(help_request("tap,id=a,help"), std::nullopt);
  EXPECT_EQ(help_request("helpful"), std::nullopt);
}

}  // namespace
}  // namespace pagurus::qapi
