#include "ctl/arguments.h"

#include <gtest/gtest.h>

#include "ctl/testing/small_schema.h"

namespace pagurus::ctl {
namespace {

using qapi::Json;
using Words = std::vector<std::string>;

// As JSON text, or what is wrong.
std::string typed(const std::string& command, const Words& words, bool introspected = true) {
  auto known = testing::small_introspection();
  auto written = parse_arguments(words);
  if (!written) return written.error().message();
  auto result = typed_arguments(introspected ? &known : nullptr, command, *written);
  return result ? result->text() : result.error().message();
}

TEST(Arguments, take_the_types_that_the_command_asks_for) {
  EXPECT_EQ(typed("lamp-set", {"name=7", "level=64k", "lit=off", "scale=2", "hue=red"}),
            R"({"name": "7", "level": 65536, "lit": false, "scale": 2, "hue": "red"})");
  EXPECT_EQ(typed("lamp-set", {"level=-9223372036854775808"}), R"({"level": -9223372036854775808})");
  EXPECT_EQ(typed("lamp-set", {"level=18446744073709551615"}), R"({"level": 18446744073709551615})");
  EXPECT_EQ(typed("lamp-set", {"level=0x10"}), R"({"level": 16})");
}

TEST(Arguments, what_is_no_value_of_its_type_stays_a_string_for_the_server_to_refuse) {
  EXPECT_EQ(typed("lamp-set", {"level=much", "lit=perhaps", "hue=blue", "power=strong"}),
            R"({"level": "much", "lit": "perhaps", "hue": "blue", "power": "strong"})");
}

TEST(Arguments, objects_and_lists_are_written_with_dots) {
  EXPECT_EQ(typed("lamp-set", {"power.from=battery", "power.cells=3", "power.volts=3"}),
            R"({"power": {"from": "battery", "cells": 3, "volts": 3}})");
  EXPECT_EQ(typed("lamp_group", {"lamps.0.name=1", "lamps.1.name=2", "levels.0=1"}),
            R"({"lamps": [{"name": "1"}, {"name": "2"}], "levels": [1]})");
  EXPECT_EQ(typed("lamp-set", {"blink.0=red", "blink.1=on"}), R"({"blink": ["red", "on"]})");
}

TEST(Arguments, may_hold_json_where_lists_and_objects_belong) {
  EXPECT_EQ(typed("lamp_group", {R"(lamps=[{"name":"a,b"}])", "extra=[1]"}),
            R"({"lamps": [{"name": "a,b"}], "extra": [1]})");
  EXPECT_EQ(typed("lamp-set", {R"(name=[1])"}), R"({"name": "[1]"})");
  EXPECT_TRUE(typed("lamp_group", {"lamps=[{"}).starts_with("Parameter 'lamps': JSON parse error"));
}

TEST(Arguments, an_alternate_takes_the_branch_that_fits) {
  EXPECT_EQ(typed("lamp-set", {"blink=on"}), R"({"blink": true})");
  EXPECT_EQ(typed("lamp-set", {R"(blink=["red"])"}), R"({"blink": ["red"]})");
  EXPECT_EQ(typed("lamp-set", {"blink=red"}), R"({"blink": "red"})");
}

TEST(Arguments, commas_and_equal_signs_belong_to_values) {
  EXPECT_EQ(typed("lamp-set", {"name=,a,,b=c,", "lit=on"}), R"({"name": ",a,,b=c,", "lit": true})");
}

TEST(Arguments, one_json_object_is_taken_as_it_is) {
  EXPECT_EQ(typed("lamp-set", {R"({"level": "64k"})"}), R"({"level": "64k"})");
  EXPECT_TRUE(typed("lamp-set", {"{broken"}).starts_with("the arguments: JSON parse error"));
  EXPECT_EQ(typed("lamp-set", {"{}", "a=b"}), "arguments that are a JSON object must be one word, and the only one");
}

TEST(Arguments, words_that_are_none_are_named) {
  EXPECT_EQ(typed("lamp-set", {"bright"}),
            "'bright' is no argument; write name=value, or all arguments as one JSON object");
  EXPECT_EQ(typed("lamp-set", {"lit=on", "lit=off"}), "Parameter 'lit' is given twice");
}

TEST(Arguments, are_guessed_without_introspection) {
  EXPECT_EQ(typed("x", {"a=1", "b.c=true", "d=on", "e.0=null", "f=\"1\""}, false),
            R"({"a": 1, "b": {"c": true}, "d": "on", "e": [null], "f": "1"})");
  EXPECT_EQ(typed("unheard-of", {"a=1"}), R"({"a": 1})");
  EXPECT_EQ(typed("lamp-set", {"unheard-of=1"}), R"({"unheard-of": 1})");
}

TEST(Arguments, none_are_none) { EXPECT_EQ(typed("lamp-list", {}), "null"); }

}  // namespace
}  // namespace pagurus::ctl
