// The arguments of a QMP command as a person writes them, made into JSON.
//
//   name=value ...        a.b=x is member b of object a, list.0=x the first element of a list
//   {"name": ...}         one JSON object instead
//
// What a text means depends on the argument's type: 64M is an integer where one is expected, on and off
// are booleans, [...] and {...} are JSON where a list or an object is expected.  A text that is no value
// of its type goes to the server as a string, so that the refusal is the server's own sentence.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "ctl/introspection.h"
#include "qapi/json.h"

namespace pagurus::ctl {

struct WrittenArguments {
  qapi::Json tree;  // null: none
  // kText: every scalar of the tree is a string as it was written.
  enum class Form { kText, kJson } form = Form::kText;
};

Result<WrittenArguments> parse_arguments(std::span<const std::string> words);

// introspection: nullptr if the server has none; values are then JSON where they read as JSON, and
// strings where not.
Result<qapi::Json> typed_arguments(const Introspection* introspection, std::string_view command,
                                   const WrittenArguments& written);

}  // namespace pagurus::ctl
