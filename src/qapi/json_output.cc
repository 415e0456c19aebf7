#include "qapi/json_output.h"

namespace pagurus::qapi {

Result<void> JsonOutput::place(std::string_view name, Json value) {
  if (open_.empty())
    result_ = std::move(value);
  else if (Json& parent = open_.back().value; parent.is_array())
    parent.as_array().push_back(std::move(value));
  else
    parent.as_object().push_back({std::string(name), std::move(value)});
  return {};
}

Result<void> JsonOutput::end() {
  Level level = std::move(open_.back());
  open_.pop_back();
  return place(level.name, std::move(level.value));
}

Result<void> JsonOutput::start_object(std::string_view name) {
  open_.push_back({std::string(name), Json(Json::Object())});
  return {};
}

Result<void> JsonOutput::end_object() { return end(); }

Result<size_t> JsonOutput::start_list(std::string_view name, size_t size) {
  open_.push_back({std::string(name), Json(Json::Array())});
  return size;
}

Result<void> JsonOutput::end_list() { return end(); }

Result<void> JsonOutput::integer(std::string_view name, int64_t& value, int64_t, int64_t) {
  return place(name, Json(value));
}

Result<void> JsonOutput::natural(std::string_view name, uint64_t& value, uint64_t) { return place(name, Json(value)); }

Result<void> JsonOutput::enumeration(std::string_view name, size_t& index, Names names) {
  return place(name, Json(names[index]));
}

}  // namespace pagurus::qapi
