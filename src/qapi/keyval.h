// Options in key=value form, as in "tap,id=n0,queues.0=a,server.host=::1", to the same tree that their
// JSON form gives, with a string for every scalar; JsonInput then makes values of it.
//
//   parameters   [ implied-value "," ] key "=" value { "," key "=" value }
//   key          word { "." ( word | index ) }        a.b is member b of object a, a.0 the first of list a
//   value        anything; ",," is a comma
//
// A text that starts with '{' is JSON instead.  A key given twice is refused, and so is one that is used
// as a value and as an object.  Texts come from strangers, too: size, number of keys and depth are bounded.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "qapi/json.h"
#include "qapi/json_input.h"

namespace pagurus::qapi {

inline constexpr size_t kMaxKeyvalBytes = 64 * 1024;
inline constexpr size_t kMaxKeyvalKeys = 1024;
inline constexpr size_t kMaxKeyvalDepth = 16;  // words of a key

struct Keyval {
  Json tree;  // an object
  JsonInput::Scalars scalars = JsonInput::Scalars::kKeyval;
};

// implied: the key of the first value if that has none; empty: it must have one.
Result<Keyval> parse_keyval(std::string_view text, std::string_view implied);

// The other way: the text that a value of this JSON form is written as.  nullopt if there is none: empty
// lists and objects, and null, cannot be written.
std::optional<std::string> keyval_text(const Json& value);

// "help", "?" or "VALUE,help": what help is asked for, the VALUE or nothing.  nullopt: none.
std::optional<std::string> help_request(std::string_view text);

// The name of the first member of the outermost object that `visit` shows; empty if it has none.
std::string first_member_shown(const std::function<Result<void>(Visitor&)>& visit);
// That of a struct or union: the implied key.
template <class T>
std::string first_member();

// A struct or union; its first member's key may be left out.
template <class T>
Result<T> from_keyval(std::string_view text) {
  Keyval parsed = TRY(parse_keyval(text, first_member<T>()));
  return read_value<T>(parsed.tree, parsed.scalars, "value");
}

template <class T>
std::string first_member() {
  return first_member_shown([](Visitor& visitor) {
    T value{};
    return visit(visitor, {}, value);
  });
}

}  // namespace pagurus::qapi
