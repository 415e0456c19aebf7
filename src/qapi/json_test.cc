#include "qapi/json.h"

#include <gtest/gtest.h>

#include "qapi/json_reader.h"

namespace pagurus::qapi {
namespace {

std::string error_of(std::string_view text) {
  auto value = parse_json(text);
  return value ? "accepted" : value.error().message();
}

TEST(Json, prints_what_it_read) {
  for (const char* text : {"null", "true", "-1", "18446744073709551615", "0.25", R"("a\"\\\n\u0001é")", "[]", "{}",
                           R"({"a": [1, {"b": null}], "c": "x"})"}) {
    auto value = parse_json(text);
    ASSERT_TRUE(value.has_value()) << text << ": " << value.error().message();
    EXPECT_EQ(value->text(), text);
  }
}

TEST(Json, bytes_that_are_not_utf8_are_replaced_when_printed) {
  EXPECT_EQ(Json("a\xff"
                 "b\xc3")
                .text(),
            "\"a\\ufffdb\\ufffd\"");
  EXPECT_EQ(Json("\xed\xa0\x80").text(), "\"\\ufffd\\ufffd\\ufffd\"");  // a surrogate
}

TEST(Json, integers_keep_their_64_bits_and_know_their_range) {
  EXPECT_EQ(parse_json("9223372036854775807")->as_int64(), INT64_MAX);
  EXPECT_FALSE(parse_json("9223372036854775808")->fits_int64());
  EXPECT_EQ(parse_json("9223372036854775808")->as_uint64(), uint64_t{1} << 63);
  EXPECT_FALSE(parse_json("-1")->fits_uint64());
  EXPECT_EQ(Json(uint64_t{5}), Json(5));
}

TEST(JsonReader, duplicate_keys_are_refused) {
  EXPECT_EQ(error_of(R"({"a": 1, "b": {"a": 2}, "a": 3})"), "JSON parse error, duplicate key 'a'");
  EXPECT_EQ(error_of(R"({"a": {"x": 1, "\u0078": 2}})"), "JSON parse error, duplicate key 'x'");
  EXPECT_EQ(error_of(R"([{"a": 1}, {"a": 1}])"), "accepted");
}

TEST(JsonReader, malformed_text_is_refused) {
  for (const char* text : {"", " ", "{", "{]", "{'a': 1}", "{\"a\": 1,}", "nul", "01", "\"\xff\"", "1 2", "{} x",
                           "\"\\ud800\"", "1e999", "{\"a\" 1}"}) {
    EXPECT_TRUE(error_of(text).starts_with("JSON parse error, ")) << text << ": " << error_of(text);
  }
}

TEST(JsonReader, values_may_arrive_byte_by_byte) {
  JsonReader reader;
  std::vector<std::string> seen;
  for (char c : std::string(R"({"execute": "a", "arguments": {"x": "é\n", "y": 12345678901}}
      [1.5e3, -7] 12 "z")")) {
    reader.feed({&c, 1});
    while (auto value = reader.next()) {
      ASSERT_TRUE(value->has_value()) << value->error().message();
      seen.push_back((*value)->text());
    }
  }
  EXPECT_EQ(seen, (std::vector<std::string>{R"({"execute": "a", "arguments": {"x": "é\n", "y": 12345678901}})",
                                            "[1500, -7]", "12", "\"z\""}));
  EXPECT_TRUE(reader.idle());
}

TEST(JsonReader, reading_goes_on_after_the_broken_line) {
  JsonReader reader;
  reader.feed("{\"a\": 1} {bad} [1]\n{\"b\": 2}\n");
  EXPECT_EQ((*reader.next())->text(), "{\"a\": 1}");
  EXPECT_FALSE(reader.next()->has_value());
  EXPECT_EQ((*reader.next())->text(), "{\"b\": 2}");
  EXPECT_FALSE(reader.next().has_value());
}

TEST(JsonReader, a_newline_where_the_error_is_ends_the_broken_line) {
  JsonReader reader;
  reader.feed("{\"a\n{\"b\": 2}\n");  // a raw newline inside a string
  EXPECT_FALSE(reader.next()->has_value());
  EXPECT_EQ((*reader.next())->text(), "{\"b\": 2}");
}

TEST(JsonReader, a_0xff_byte_discards_a_half_sent_value) {
  JsonReader reader;
  reader.feed("\xff{\"half\": [");
  EXPECT_FALSE(reader.next().has_value());
  EXPECT_FALSE(reader.idle());
  reader.feed("\xff{\"b\": 2}");
  EXPECT_FALSE(reader.next()->has_value());
  EXPECT_EQ((*reader.next())->text(), "{\"b\": 2}");
  EXPECT_TRUE(reader.idle());
}

TEST(JsonReader, depth_is_limited) {
  JsonReader reader({.max_bytes = 1000, .max_depth = 8});
  reader.feed(std::string(8, '[') + std::string(8, ']'));
  EXPECT_TRUE(reader.next()->has_value());
  reader.feed(std::string(9, '[') + std::string(9, ']'));
  EXPECT_FALSE(reader.next()->has_value());
}

TEST(JsonReader, size_is_limited_and_the_rest_of_the_line_dropped) {
  JsonReader wide({.max_bytes = 100, .max_depth = 200});
  wide.feed("[" + std::string(300, ' '));
  auto value = wide.next();
  ASSERT_TRUE(value.has_value() && !value->has_value());
  EXPECT_EQ(value->error().message(), "JSON parse error, the value is larger than 100 bytes");
  EXPECT_FALSE(wide.next().has_value());
  wide.feed("]\n[1]");
  EXPECT_EQ((*wide.next())->text(), "[1]");
}

TEST(JsonReader, a_number_is_read_to_its_last_bit) {
  for (double value : {-3.4501937706397933e-15, 2.2250738585072014e-308, 1.7976931348623157e308, 0.1, -2.5e-323}) {
    Json written(value);
    EXPECT_EQ(parse_json(written.text())->as_double(), value) << written.text();
    // In pieces, too.
    JsonReader reader;
    std::string text = written.text() + "\n";
    std::optional<Result<Json>> read;
    for (char c : text) {
      reader.feed({&c, 1});
      read = reader.next();
    }
    ASSERT_TRUE(read && *read);
    EXPECT_EQ((*read)->as_double(), value) << written.text();
  }
  EXPECT_EQ(parse_json("1e-400")->as_double(), 0.0);
  EXPECT_FALSE(parse_json("1e400").has_value());
}

}  // namespace
}  // namespace pagurus::qapi
