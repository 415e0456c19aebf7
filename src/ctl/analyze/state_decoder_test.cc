#include "ctl/analyze/state_decoder.h"

#include <gtest/gtest.h>

namespace pagurus::ctl {
namespace {

using Bytes = std::vector<uint8_t>;

struct Decoded {
  std::string text;
  std::string problem;
  size_t left;
};

Decoded decode(std::string_view signature, const Bytes& bytes, uint16_t version = UINT16_MAX,
               const std::vector<std::string>& fds = {}) {
  auto type = parse_signature(signature);
  CHECK(type.has_value(), "the test has a good signature");
  uint64_t values_left = StateDecoder::kMaxValues;
  StateDecoder decoder(bytes, fds, values_left);
  std::string text = decoder.decode(*type, version).text();
  return {text, decoder.problem(), decoder.rest().size()};
}

TEST(StateDecoder, numbers_are_little_endian_and_keep_their_sign) {
  auto decoded = decode(
      "s/1{a:u16,b:i8,c:i64,d:u64,e:bool}",
      {1, 2, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1});
  EXPECT_EQ(decoded.text, R"({"a": 513, "b": -2, "c": -1, "d": 18446744073709551615, "e": true})");
  EXPECT_EQ(decoded.problem, "");
  EXPECT_EQ(decoded.left, 0u);
}

TEST(StateDecoder, lists_strings_arrays_and_structs) {
  auto decoded =
      decode("s/1{l:[i/1{x:u8};<=3],t:str<=4,a:[u16;2]}", {2, 0, 0, 0, 7, 8, 2, 0, 0, 0, 'h', 'i', 1, 0, 2, 0});
  EXPECT_EQ(decoded.text, R"({"l": [{"x": 7}, {"x": 8}], "t": "hi", "a": [1, 2]})");
  EXPECT_EQ(decoded.problem, "");
}

TEST(StateDecoder, descriptors_are_shown_by_index_and_by_what_they_are) {
  EXPECT_EQ(decode("s/1{f:fd}", {1, 0, 0, 0}).text, R"({"f": {"fd": 1}})");
  EXPECT_EQ(decode("s/1{f:fd}", {1, 0, 0, 0}, 1, {"/dev/null", "/dev/net/tun"}).text,
            R"({"f": {"fd": 1, "file": "/dev/net/tun"}})");
}

TEST(StateDecoder, many_bytes_are_shown_by_their_beginning) {
  EXPECT_EQ(bytes_json(Bytes(64, 0xab)).as_string(), [] {
    std::string text;
    for (int i = 0; i < 64; ++i) text += "ab";
    return text;
  }());
  EXPECT_EQ(bytes_json(Bytes(65, 0)).text(), R"({"bytes": 65, "hex-begin": ")" + std::string(64, '0') + R"("})");
}

TEST(StateDecoder, a_younger_field_is_not_in_an_older_state) {
  EXPECT_EQ(decode("s/2{a:u8,b:u8@2}", {1}, 1).text, R"({"a": 1})");
  EXPECT_EQ(decode("s/2{a:u8,b:u8@2}", {1, 2}, 2).text, R"({"a": 1, "b": 2})");
}

TEST(StateDecoder, what_came_before_a_problem_is_shown) {
  auto decoded = decode("s/1{a:u8,l:[u8;<=4],b:u8}", {1, 9, 0, 0, 0, 5});
  EXPECT_EQ(decoded.text, R"({"a": 1})");
  EXPECT_EQ(decoded.problem, "there are 9 elements where at most 4 are declared");
  decoded = decode("s/1{l:[i/1{x:u8,y:u8};<=4]}", {2, 0, 0, 0, 1, 2, 3});
  EXPECT_EQ(decoded.text, R"({"l": [{"x": 1, "y": 2}, {"x": 3}]})");
  EXPECT_EQ(decoded.problem, "0 bytes follow where 1 are declared");
}

TEST(StateDecoder, values_that_take_no_bytes_are_counted_too) {
  EXPECT_EQ(decode("s/1{a:[[e/1{};60000];60000]}", {}).problem, "there are more than 1000000 values");
  EXPECT_EQ(decode("[e/1{};18446744073709551615]", {}).problem, "there are more than 1000000 values");
}

TEST(StateDecoder, optional_fields_are_taken_whole_or_not_at_all) {
  uint64_t values_left = StateDecoder::kMaxValues;
  Bytes bytes{4, 'n', 'o', 't', 'e', 2, 0, 0, 0, 0xca, 0xfe, 1, 'x', 0, 0, 0, 0};
  StateDecoder whole(bytes, {}, values_left);
  EXPECT_EQ(whole.decode_named_fields().text(), R"({"note": "cafe", "x": ""})");
  EXPECT_TRUE(whole.rest().empty());
  for (size_t size = 1; size < bytes.size(); ++size) {
    if (size == 11) continue;  // the end of the first
    StateDecoder cut(std::span<const uint8_t>(bytes).first(size), {}, values_left);
    EXPECT_TRUE(cut.decode_named_fields().is_null()) << size;
    EXPECT_EQ(cut.rest().size(), size);
    EXPECT_FALSE(cut.failed());
  }
}

}  // namespace
}  // namespace pagurus::ctl
