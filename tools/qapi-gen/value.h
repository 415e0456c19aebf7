// The values a schema is written in, each with its place: strings, booleans, lists and objects.  (The
// language has no numbers, and null only as the string 'null'.)
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "source.h"

namespace pagurus::qapi_gen {

struct Value {
  struct Member;
  using List = std::vector<Value>;
  using Object = std::vector<Member>;  // in the order written; keys are unique

  Position at;
  std::variant<std::string, bool, List, Object> data;

  bool is_string() const { return std::holds_alternative<std::string>(data); }
  bool is_bool() const { return std::holds_alternative<bool>(data); }
  bool is_list() const { return std::holds_alternative<List>(data); }
  bool is_object() const { return std::holds_alternative<Object>(data); }
  const std::string& string() const { return std::get<std::string>(data); }
  bool boolean() const { return std::get<bool>(data); }
  const List& list() const { return std::get<List>(data); }
  const Object& object() const { return std::get<Object>(data); }
  // The member of an object, or nullptr.
  const Value* find(std::string_view key) const;
};

struct Value::Member {
  std::string key;
  Position at;  // of the key
  Value value;
};

}  // namespace pagurus::qapi_gen
