#include "emit_introspect.h"

#include <gtest/gtest.h>

#include "base/result.h"
#include "test_schema.h"

namespace pagurus::qapi_gen {
namespace {

// The JSON of a schema without conditions, one SchemaInfo a line.
std::string json_of(std::string_view text) {
  const auto files = *emit_introspect(*schema_of(text));
  std::string json;
  std::string_view source = files[1].text;
  source.remove_prefix(source.find("kText[] =\n") + 10);
  while (source.find('"') < source.find("return")) {
    source.remove_prefix(source.find('"') + 1);
    std::string line;
    for (; source[0] != '"'; source.remove_prefix(1)) {
      if (source[0] == '\\') source.remove_prefix(1);
      line += source[0];
    }
    source.remove_prefix(1);
    json += line + (line.empty() ? "" : "\n");
  }
  return json;
}

std::string source_of(std::string_view text) { return (*emit_introspect(*schema_of(text)))[1].text; }

TEST(Introspect, commands_come_first_and_types_have_numbers) {
  EXPECT_EQ(json_of("{ 'command': 'stop' }"),
            "[{\"name\":\"stop\",\"meta-type\":\"command\",\"arg-type\":\"0\",\"ret-type\":\"0\"}\n"
            ",{\"name\":\"0\",\"meta-type\":\"object\",\"members\":[]}\n"
            "]\n");
}

TEST(Introspect, all_integers_are_int) {
  EXPECT_EQ(json_of("{ 'event': 'E', 'data': { 'a': 'uint8', 'b': [ 'int64' ], 'c': 'size' } }"),
            "[{\"name\":\"E\",\"meta-type\":\"event\",\"arg-type\":\"0\"}\n"
            ",{\"name\":\"0\",\"meta-type\":\"object\",\"members\":[{\"name\":\"a\",\"type\":\"int\"},"
            "{\"name\":\"b\",\"type\":\"[int]\"},{\"name\":\"c\",\"type\":\"int\"}]}\n"
            ",{\"name\":\"int\",\"meta-type\":\"builtin\",\"json-type\":\"int\"}\n"
            ",{\"name\":\"[int]\",\"meta-type\":\"array\",\"element-type\":\"int\"}\n"
            "]\n");
}

TEST(Introspect, members_show_what_is_optional_and_features) {
  const std::string json = json_of(
      "{ 'command': 'go', 'allow-oob': true, 'features': [ 'unstable' ],\n"
      "  'data': { '*a': { 'type': 'str', 'features': [ 'deprecated' ] } } }");
  EXPECT_NE(json.find("\"allow-oob\":true,\"features\":[\"unstable\"]}"), std::string::npos) << json;
  EXPECT_NE(json.find("{\"name\":\"a\",\"type\":\"str\",\"default\":null,\"features\":[\"deprecated\"]}"),
            std::string::npos)
      << json;
}

TEST(Introspect, unions_have_a_tag_and_alternates_only_types) {
  const std::string json = json_of(
      "{ 'enum': 'Kind', 'data': [ 'a', { 'name': 'b', 'features': [ 'x' ] } ] }\n"
      "{ 'struct': 'Branch', 'data': {} }\n"
      "{ 'union': 'Union', 'base': { 'kind': 'Kind' }, 'discriminator': 'kind', 'data': { 'b': 'Branch' } }\n"
      "{ 'alternate': 'Any', 'data': { 'yes': 'bool', 'list': [ 'Union' ] } }\n"
      "{ 'command': 'go', 'data': { 'a': 'Any' } }\n");
  EXPECT_NE(json.find("\"meta-type\":\"alternate\",\"members\":[{\"type\":\"bool\"},{\"type\":\"[3]\"}]"),
            std::string::npos)
      << json;
  EXPECT_NE(
      json.find("\"tag\":\"kind\",\"variants\":[{\"case\":\"b\",\"type\":\"5\"},{\"case\":\"a\",\"type\":\"1\"}]"),
      std::string::npos)
      << json;
  EXPECT_NE(json.find("\"members\":[{\"name\":\"a\"},{\"name\":\"b\",\"features\":[\"x\"]}],\"values\":[\"a\",\"b\"]"),
            std::string::npos)
      << json;
}

TEST(Introspect, types_that_nothing_uses_are_not_shown) {
  EXPECT_EQ(json_of("{ 'struct': 'Unused', 'data': { 'a': 'number' } }"), "[]\n");
}

TEST(Introspect, commas_depend_on_the_conditions_of_what_they_divide) {
  // Behind what stands before the first value that is always there, before what stands behind it.
  std::string source = source_of(
      "{ 'enum': 'Kind', 'data': [ { 'name': 'a', 'if': 'A' }, 'b', { 'name': 'c', 'if': 'C' } ] }\n"
      "{ 'command': 'go', 'returns': 'Result' }\n{ 'struct': 'Result', 'data': { 'e': 'Kind' } }");
  EXPECT_NE(source.find("#if defined(A)\n      \"\\\"a\\\",\"\n#endif\n      \"\\\"b\\\"\"\n"
                        "#if defined(C)\n      \",\\\"c\\\"\"\n#endif\n"),
            std::string::npos)
      << source;
  source = source_of("{ 'command': 'go', 'features': [ { 'name': 'a', 'if': 'A' }, { 'name': 'b', 'if': 'B' } ] }");
  EXPECT_NE(source.find("#if defined(B)\n#if defined(A)\n      \",\"\n#endif\n      \"\\\"b\\\"\"\n#endif\n"),
            std::string::npos)
      << source;
}

}  // namespace
}  // namespace pagurus::qapi_gen
