// What a small server says of itself: one command of each kind, for the tests of what reads introspection.
#pragma once

#include <string_view>

#include "base/result.h"
#include "ctl/introspection.h"
#include "qapi/json_reader.h"

namespace pagurus::ctl::testing {

inline constexpr std::string_view kSmallSchema = R"([
  {"name": "lamp-set", "meta-type": "command", "arg-type": "1", "ret-type": "0"},
  {"name": "lamp-list", "meta-type": "command", "arg-type": "0", "ret-type": "[2]", "allow-oob": true},
  {"name": "lamp_group", "meta-type": "command", "arg-type": "3", "ret-type": "0", "features": ["deprecated"]},
  {"name": "LAMP_BROKEN", "meta-type": "event", "arg-type": "0"},
  {"name": "0", "meta-type": "object", "members": []},
  {"name": "1", "meta-type": "object", "members": [
    {"name": "name", "type": "str"},
    {"name": "hue", "type": "4", "default": null},
    {"name": "level", "type": "int", "default": null},
    {"name": "scale", "type": "number", "default": null},
    {"name": "lit", "type": "bool", "default": null},
    {"name": "power", "type": "5", "default": null},
    {"name": "blink", "type": "7", "default": null, "features": ["deprecated"]}]},
  {"name": "2", "meta-type": "object", "members": [{"name": "name", "type": "str"}]},
  {"name": "[2]", "meta-type": "array", "element-type": "2"},
  {"name": "3", "meta-type": "object", "members": [
    {"name": "lamps", "type": "[2]"},
    {"name": "levels", "type": "[int]", "default": null},
    {"name": "extra", "type": "any", "default": null}]},
  {"name": "4", "meta-type": "enum", "values": ["red", "green"], "members": [{"name": "red"}, {"name": "green"}]},
  {"name": "5", "meta-type": "object", "tag": "from",
   "members": [{"name": "from", "type": "6"}, {"name": "spare", "type": "bool", "default": null}],
   "variants": [{"case": "mains", "type": "8"}, {"case": "battery", "type": "9"}]},
  {"name": "6", "meta-type": "enum", "members": [{"name": "mains"}, {"name": "battery"}]},
  {"name": "7", "meta-type": "alternate", "members": [{"type": "bool"}, {"type": "[4]"}]},
  {"name": "[4]", "meta-type": "array", "element-type": "4"},
  {"name": "[int]", "meta-type": "array", "element-type": "int"},
  {"name": "8", "meta-type": "object", "members": [{"name": "volts", "type": "int"}]},
  {"name": "9", "meta-type": "object", "members": [{"name": "cells", "type": "int"}]},
  {"name": "str", "meta-type": "builtin", "json-type": "string"},
  {"name": "int", "meta-type": "builtin", "json-type": "int"},
  {"name": "number", "meta-type": "builtin", "json-type": "number"},
  {"name": "bool", "meta-type": "builtin", "json-type": "boolean"},
  {"name": "any", "meta-type": "builtin", "json-type": "value"}
])";

inline Introspection small_introspection() {
  auto schema = qapi::parse_json(kSmallSchema);
  CHECK(schema.has_value(), "the schema above is JSON");
  return std::move(*Introspection::from(*schema));
}

}  // namespace pagurus::ctl::testing
