#include "ctl/replies.h"

namespace pagurus::ctl {

using qapi::Json;

namespace {

std::unexpected<Error> unexpected_reply(const Json& object, std::string_view name) {
  return fail("no usable '{}' in the reply {}", name, object.text().substr(0, 200));
}

}  // namespace

Result<std::string> string_member(const Json& object, std::string_view name) {
  const Json* value = object.find(name);
  if (value == nullptr || !value->is_string()) return unexpected_reply(object, name);
  return value->as_string();
}

Result<int64_t> integer_member(const Json& object, std::string_view name) {
  const Json* value = object.find(name);
  if (value == nullptr || !value->fits_int64()) return unexpected_reply(object, name);
  return value->as_int64();
}

Result<bool> boolean_member(const Json& object, std::string_view name) {
  const Json* value = object.find(name);
  if (value == nullptr || !value->is_bool()) return unexpected_reply(object, name);
  return value->as_bool();
}

Result<std::vector<std::string>> strings_member(const Json& object, std::string_view name) {
  const Json* value = object.find(name);
  if (value == nullptr || !value->is_array()) return unexpected_reply(object, name);
  std::vector<std::string> result;
  for (const Json& element : value->as_array()) {
    if (!element.is_string()) return unexpected_reply(object, name);
    result.push_back(element.as_string());
  }
  return result;
}

Result<std::vector<std::string>> objects_member(const Json& object, std::string_view name) {
  const Json* value = object.find(name);
  if (value == nullptr || !value->is_array()) return unexpected_reply(object, name);
  std::vector<std::string> result;
  for (const Json& element : value->as_array()) {
    if (!element.is_object()) return unexpected_reply(object, name);
    result.push_back(element.text());
  }
  return result;
}

}  // namespace pagurus::ctl
