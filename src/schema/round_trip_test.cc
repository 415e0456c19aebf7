// Every type of a schema, with random values: what is written can be read, and is what it was.
#include <gtest/gtest.h>

#include "qapi/json_input.h"
#include "qapi/json_output.h"
#include "qapi/json_reader.h"
#include "qapi/keyval.h"
#include "schema/all_types.h"
#include "schema/random_visitor.h"

namespace pagurus::schema {
namespace {

using qapi::Json;

constexpr uint32_t kValuesOfEachType = 200;

// nullopt: the type has no values at all.
template <class T>
std::optional<T> random_value(RandomVisitor& random) {
  T value{};
  auto made = visit(random, {}, value);
  if (!made) return std::nullopt;
  return value;
}

template <class T>
void check_json(uint32_t seed) {
  RandomVisitor random(seed, RandomVisitor::For::kJson);
  auto value = random_value<T>(random);
  if (!value) return;
  Json written = qapi::to_json(*value);
  auto read = qapi::from_json<T>(written);
  ASSERT_TRUE(read.has_value()) << read.error().message() << " in " << written.text();
  EXPECT_TRUE(*read == *value) << written.text();
  auto parsed = qapi::parse_json(written.text());
  ASSERT_TRUE(parsed.has_value()) << parsed.error().message() << " in " << written.text();
  auto read_text = qapi::from_json<T>(*parsed);
  ASSERT_TRUE(read_text.has_value()) << read_text.error().message() << " in " << written.text();
  EXPECT_TRUE(*read_text == *value) << written.text();
}

// Whether the value could be written so.
template <class T>
bool check_keyval(uint32_t seed) {
  RandomVisitor random(seed, RandomVisitor::For::kKeyval);
  auto value = random_value<T>(random);
  if (!value || !random.fits_keyval()) return false;
  Json written = qapi::to_json(*value);
  if (!written.is_object()) return false;
  auto text = qapi::keyval_text(written);
  EXPECT_TRUE(text.has_value()) << written.text();
  if (!text) return false;
  auto read = qapi::from_keyval<T>(*text);
  EXPECT_TRUE(read.has_value()) << (read ? "" : read.error().message()) << " in " << *text;
  bool same = read && *read == *value;
  EXPECT_TRUE(same) << *text;
  return same;
}

TEST(RoundTrip, every_type_survives_json) {
  for_each_type([]<class T>(const char* name) {
    SCOPED_TRACE(name);
    for (uint32_t seed = 0; seed < kValuesOfEachType; ++seed) check_json<T>(seed);
  });
}

TEST(RoundTrip, what_key_value_text_can_say_survives_it) {
  size_t checked = 0;
  for_each_type([&]<class T>(const char* name) {
    SCOPED_TRACE(name);
    for (uint32_t seed = 0; seed < kValuesOfEachType; ++seed) checked += check_keyval<T>(seed) ? 1 : 0;
  });
  EXPECT_GT(checked, kValuesOfEachType);
}

TEST(RoundTrip, a_member_that_no_type_has_is_refused_by_every_object) {
  for_each_type([]<class T>(const char* name) {
    SCOPED_TRACE(name);
    RandomVisitor random(1, RandomVisitor::For::kJson);
    auto value = random_value<T>(random);
    Json written = value ? qapi::to_json(*value) : Json();
    if (!written.is_object()) return;
    written.set("no-such-member", 1);
    auto read = qapi::from_json<T>(written);
    ASSERT_FALSE(read.has_value());
    EXPECT_EQ(read.error().message(), "Parameter 'no-such-member' is unexpected");
  });
}

}  // namespace
}  // namespace pagurus::schema
