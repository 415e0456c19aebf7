// What the linked schema looks like to those who work from it; the rules have tests/accept and tests/refuse.
#include "linker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

#include "conditions.h"

namespace pagurus::qapi_gen {
namespace {

using testing::ElementsAre;

std::unique_ptr<Schema> load(const std::string& text) {
  auto schema = load_schema("test.json", Dialect::kQemu, MemoryReader({{"test.json", text}}));
  EXPECT_TRUE(schema.has_value()) << schema.error().text();
  return schema.has_value() ? *std::move(schema) : nullptr;
}

template <class T>
const T& get(const Schema& schema, std::string_view name) {
  const auto found = schema.by_name.find(name);
  EXPECT_NE(found, schema.by_name.end()) << name;
  EXPECT_EQ(found->second->kind, T().kind) << name;
  return static_cast<const T&>(*found->second);
}

template <class Things>
std::vector<std::string> names_of(const Things& things) {
  std::vector<std::string> names;
  for (const auto& thing : things) {
    if constexpr (std::is_pointer_v<std::decay_t<decltype(thing)>>) {
      names.push_back(thing->name);
    } else {
      names.push_back(thing.name);
    }
  }
  return names;
}

TEST(Schema, built_in_types_are_always_there) {
  const auto schema = load("");
  EXPECT_EQ(get<BuiltinType>(*schema, "uint8").json_type, "int");
  EXPECT_EQ(get<BuiltinType>(*schema, "any").json_type, "value");
  EXPECT_EQ(get<ArrayType>(*schema, "strList").element, &get<BuiltinType>(*schema, "str"));
  EXPECT_EQ(get<EnumType>(*schema, "QType").members.size(), 7U);
  EXPECT_TRUE(schema->empty_object->empty());
}

TEST(Schema, members_of_the_base_come_first) {
  const auto schema = load(
      "{ 'struct': 'Lamp', 'base': 'Device', 'data': { '*color': 'str' } }\n"
      "{ 'struct': 'Device', 'data': { 'id': 'str', 'ports': [ 'int' ] } }\n");
  const auto& lamp = get<ObjectType>(*schema, "Lamp");
  EXPECT_EQ(lamp.base, &get<ObjectType>(*schema, "Device"));
  EXPECT_THAT(names_of(lamp.members), ElementsAre("id", "ports", "color"));
  EXPECT_THAT(names_of(lamp.local_members), ElementsAre("color"));
  EXPECT_TRUE(lamp.local_members[0].optional);
  EXPECT_EQ(lamp.members[1]->type, &get<ArrayType>(*schema, "intList"));
}

TEST(Schema, a_union_has_a_branch_for_each_value_in_the_enums_order) {
  const auto schema = load(
      "{ 'enum': 'Kind', 'data': [ 'bulb', { 'name': 'none', 'if': 'DARK' }, 'led' ] }\n"
      "{ 'struct': 'Led', 'data': { 'color': 'str' } }\n"
      "{ 'struct': 'Bulb', 'data': { 'watts': 'int' } }\n"
      "{ 'union': 'Lamp', 'base': { 'id': 'str', 'kind': 'Kind' }, 'discriminator': 'kind',\n"
      "  'data': { 'led': 'Led', 'bulb': { 'type': 'Bulb', 'if': 'HOT' } } }\n");
  const auto& lamp = get<ObjectType>(*schema, "Lamp");
  ASSERT_TRUE(lamp.is_union());
  EXPECT_EQ(lamp.discriminator, lamp.members[1]);
  EXPECT_TRUE(lamp.base->implicit);
  EXPECT_THAT(names_of(lamp.branches), ElementsAre("bulb", "none", "led"));
  EXPECT_EQ(lamp.branches[0].condition.text(), "defined(HOT)");
  EXPECT_EQ(lamp.branches[1].type, schema->empty_object);
  EXPECT_TRUE(lamp.branches[1].implicit);
  EXPECT_EQ(lamp.branches[1].condition.text(), "defined(DARK)");
  EXPECT_FALSE(lamp.branches[2].implicit);
}

TEST(Schema, arguments_without_a_type_of_their_own_get_one) {
  const auto schema = load(
      "{ 'command': 'light', 'data': { 'id': 'str' }, 'if': 'LAMPS', 'allow-oob': true }\n"
      "{ 'command': 'blow', 'data': {}, 'gen': false, 'success-response': false }\n"
      "{ 'event': 'LIT', 'data': { 'id': 'str' } }\n");
  const auto& light = get<Command>(*schema, "light");
  EXPECT_EQ(light.arguments->name, "q_obj_light-arg");
  EXPECT_TRUE(light.arguments->implicit);
  EXPECT_EQ(light.arguments->condition.text(), "defined(LAMPS)");
  EXPECT_TRUE(light.allow_oob);
  EXPECT_TRUE(light.gen);
  EXPECT_EQ(get<Command>(*schema, "blow").arguments, nullptr);
  EXPECT_FALSE(get<Command>(*schema, "blow").gen);
  EXPECT_FALSE(get<Command>(*schema, "blow").success_response);
  EXPECT_EQ(get<Event>(*schema, "LIT").arguments->name, "q_obj_LIT-arg");
}

TEST(Schema, arrays_follow_their_elements) {
  const auto schema = load(
      "{ 'struct': 'Box', 'data': { 'lamps': [ 'Lamp' ] } }\n"
      "{ 'struct': 'Lamp', 'data': {}, 'if': 'LAMPS' }\n");
  const auto& array = get<ArrayType>(*schema, "LampList");
  EXPECT_EQ(array.element->name, "Lamp");
  EXPECT_EQ(array.condition.text(), "defined(LAMPS)");
}

TEST(Schema, a_files_definitions_are_its_own_in_order) {
  const auto loaded = load_schema(
      "a.json", Dialect::kQemu,
      MemoryReader({{"a.json", "{ 'include': 'b.json' }\n{ 'command': 'light', 'data': { 'l': [ 'Lamp' ] } }\n"},
                    {"b.json", "{ 'struct': 'Lamp', 'data': { 'c': 'Color' } }\n{ 'enum': 'Color', 'data': [] }\n"}}));
  ASSERT_TRUE(loaded.has_value()) << loaded.error().text();
  const auto& files = (*loaded)->parsed.files;
  EXPECT_THAT(names_of((*loaded)->defined_in(*files[0])), ElementsAre("light"));
  EXPECT_THAT(names_of((*loaded)->defined_in(*files[1])), ElementsAre("Lamp", "Color"));
  EXPECT_EQ(get<ArrayType>(**loaded, "LampList").module, files[1].get());
}

TEST(Conditions, are_text_for_the_preprocessor) {
  const auto schema = load(
      "{ 'struct': 'Aa', 'data': {}, 'if': { 'all': [ 'X', { 'not': 'Y' } ] } }\n"
      "{ 'struct': 'Bb', 'data': {}, 'if': { 'not': { 'any': [ 'X', { 'all': [ 'Y', 'Z' ] } ] } } }\n"
      "{ 'struct': 'Cc', 'data': {} }\n");
  EXPECT_EQ(get<ObjectType>(*schema, "Aa").condition.text(), "(defined(X) && !defined(Y))");
  EXPECT_EQ(get<ObjectType>(*schema, "Bb").condition.text(), "!(defined(X) || (defined(Y) && defined(Z)))");
  EXPECT_EQ(get<ObjectType>(*schema, "Cc").condition.text(), "");
  EXPECT_TRUE(get<ObjectType>(*schema, "Cc").condition.always());
}

std::string refusal(const std::string& text) {
  const auto schema = load_schema("test.json", Dialect::kQemu, MemoryReader({{"test.json", text}}));
  return schema.has_value() ? "accepted" : schema.error().message;
}

TEST(Limits, deep_bases_are_refused_before_the_stack_ends) {
  std::string text;
  for (int i = 0; i < 20'000; ++i) {
    const std::string n = std::to_string(i);
    text += "{ 'struct': 'S" + n + "s', 'base': 'S" + std::to_string(i + 1) + "s', 'data': {} }\n";
  }
  EXPECT_EQ(refusal(text), "types contain each other more than 500 levels deep");
}

TEST(Limits, inherited_members_are_counted) {
  std::string text = "{ 'struct': 'S0s', 'data': { 'm0': 'int' } }\n";
  for (int i = 1; i < 4000; ++i) {
    const std::string n = std::to_string(i);
    text += "{ 'struct': 'S" + n + "s', 'base': 'S" + std::to_string(i - 1) + "s', 'data': { 'm" + n + "': 'int' } }\n";
  }
  EXPECT_THAT(refusal(text), testing::HasSubstr("more than 4000000 members"));
}

// Each union's branches are all of the next one: walking the branches of branches would take forever.
TEST(Limits, unions_in_unions_are_looked_at_once_each) {
  std::string values;
  for (int i = 0; i < 20; ++i) values += (i > 0 ? ", 'v" : "'v") + std::to_string(i) + "'";
  std::string text = "{ 'enum': 'Kind', 'data': [ " + values + " ] }\n{ 'struct': 'U40u', 'data': {} }\n";
  for (int i = 39; i >= 0; --i) {
    const std::string n = std::to_string(i);
    std::string branches;
    for (int v = 0; v < 20; ++v) {
      branches += (v > 0 ? ", 'v" : "'v") + std::to_string(v) + "': 'U" + std::to_string(i + 1) + "u'";
    }
    text += "{ 'union': 'U" + n + "u', 'base': { 'k" + n + "': 'Kind' }, 'discriminator': 'k" + n + "', 'data': { " +
            branches + " } }\n";
  }
  EXPECT_EQ(refusal(text), "accepted");
}

TEST(Limits, ten_thousand_of_everything_take_no_time) {
  std::string values;
  std::string members;
  for (int i = 0; i < 10'000; ++i) {
    values += (i > 0 ? ", 'v" : "'v") + std::to_string(i) + "'";
    members += (i > 0 ? ", 'm" : "'m") + std::to_string(i) + "': 'Kind'";
  }
  std::string text =
      "{ 'enum': 'Kind', 'data': [ " + values + " ] }\n{ 'struct': 'Lamp', 'data': { " + members + " } }\n";
  text += "{ 'union': 'Any', 'base': { 'kind': 'Kind' }, 'discriminator': 'kind', 'data': {} }\n";
  for (int i = 0; i < 10'000; ++i) text += "{ 'command': 'c" + std::to_string(i) + "', 'data': { 'a': 'Lamp' } }\n";
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(refusal(text), "accepted");
  // A tenth of that in practice; squares of 10,000 would take far longer.
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
}

}  // namespace
}  // namespace pagurus::qapi_gen
