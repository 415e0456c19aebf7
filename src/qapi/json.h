// A JSON value as the control protocol knows it: small, ordered, without a library behind it, so that
// every header may include it.
//
//   Json reply = Json::object({{"status", "running"}, {"running", true}});
//   if (const Json* uri = reply.find("uri"); uri != nullptr && uri->is_string()) ...
//
// Objects keep the order in which members were added.  Integers keep their 64 bits; a number written
// with a fraction or an exponent is a double.
#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace pagurus::qapi {

class Json {
 public:
  struct Member;
  using Array = std::vector<Json>;
  using Object = std::vector<Member>;  // names are unique

  Json() = default;  // null
  template <std::same_as<bool> T>
  Json(T value);
  template <std::signed_integral T>
  Json(T value);
  template <std::unsigned_integral T>
  requires(!std::same_as<T, bool>) Json(T value);
  Json(double value);
  Json(std::string value);
  Json(std::string_view value);
  Json(const char* value);
  Json(Array value);
  Json(Object value);
  static Json object(std::initializer_list<Member> members = {});
  static Json strings(const std::vector<std::string>& values);

  bool is_null() const { return std::holds_alternative<std::monostate>(value_); }
  bool is_bool() const { return std::holds_alternative<bool>(value_); }
  bool is_integer() const { return is<int64_t>() || is<uint64_t>(); }
  bool is_number() const { return is_integer() || is<double>(); }
  bool is_string() const { return is<std::string>(); }
  bool is_array() const { return is<Array>(); }
  bool is_object() const { return is<Object>(); }

  // Each requires the matching is_...().
  bool as_bool() const { return std::get<bool>(value_); }
  double as_double() const;
  const std::string& as_string() const { return std::get<std::string>(value_); }
  const Array& as_array() const { return std::get<Array>(value_); }
  const Object& as_object() const { return std::get<Object>(value_); }
  Array& as_array() { return std::get<Array>(value_); }
  Object& as_object() { return std::get<Object>(value_); }
  // Whether the integer fits, and the integer: as_int64() requires fits_int64().
  bool fits_int64() const { return is<int64_t>(); }
  int64_t as_int64() const { return std::get<int64_t>(value_); }
  bool fits_uint64() const { return is<uint64_t>() || (is<int64_t>() && as_int64() >= 0); }
  uint64_t as_uint64() const;

  // The member of an object, or nullptr; also nullptr if this is no object.
  const Json* find(std::string_view name) const;
  // Adds a member, or replaces the one of that name.  Makes null an object.
  void set(std::string name, Json value);

  // One line, without a newline.  Bytes that are not UTF-8 come out as U+FFFD: JSON has no others.
  std::string text() const;
  // Indented, for people.
  std::string pretty_text() const;

  bool operator==(const Json& other) const;

 private:
  template <class T>
  bool is() const {
    return std::holds_alternative<T>(value_);
  }

  std::variant<std::monostate, bool, int64_t, uint64_t, double, std::string, Array, Object> value_;
};

struct Json::Member {
  std::string name;
  Json value;
  bool operator==(const Member& other) const = default;
};

// Down here because they need the whole variant, and with it Member.
template <std::same_as<bool> T>
Json::Json(T value) : value_(value) {}
template <std::signed_integral T>
Json::Json(T value) : value_(int64_t{value}) {}
template <std::unsigned_integral T>
requires(!std::same_as<T, bool>) Json::Json(T value) {
  // One form for each number, so that equal numbers compare equal.
  if (uint64_t{value} <= uint64_t{INT64_MAX})
    value_ = static_cast<int64_t>(value);
  else
    value_ = uint64_t{value};
}
inline Json::Json(double value) : value_(value) {}
inline Json::Json(std::string value) : value_(std::move(value)) {}
inline Json::Json(std::string_view value) : value_(std::string(value)) {}
inline Json::Json(const char* value) : value_(std::string(value)) {}
inline Json::Json(Array value) : value_(std::move(value)) {}

}  // namespace pagurus::qapi
