#include "monitor/protocol.h"

#include <charconv>

namespace pagurus::monitor {
namespace {

using qapi::Json;

std::string_view name_of(ErrorClass error_class) {
  switch (error_class) {
    case ErrorClass::kGenericError: return "GenericError";
    case ErrorClass::kCommandNotFound: return "CommandNotFound";
    case ErrorClass::kDeviceNotActive: return "DeviceNotActive";
    case ErrorClass::kDeviceNotFound: return "DeviceNotFound";
    case ErrorClass::kKvmMissingCap: return "KVMMissingCap";
  }
  return "GenericError";
}

Json with_id(Json reply, const Json* id) {
  if (id != nullptr) reply.set("id", *id);
  return reply;
}

}  // namespace

Result<Request> parse_request(const Json& message) {
  if (!message.is_object()) return fail("QMP input must be a JSON object");
  Request request;
  const Json* command = nullptr;
  for (const auto& [name, value] : message.as_object()) {
    if (name == "execute") {
      command = &value;
    } else if (name == "arguments") {
      if (!value.is_object()) return fail("QMP input member 'arguments' must be an object");
      request.arguments = value.as_object();
    } else if (name == "exec-oob") {
      return fail("QMP input member 'exec-oob' needs the capability 'oob', which is not offered");
    } else if (name != "id") {
      return fail("QMP input member '{}' is unexpected", name);
    }
  }
  if (command == nullptr) return fail("QMP input lacks member 'execute'");
  if (!command->is_string()) return fail("QMP input member 'execute' must be a string");
  request.command = command->as_string();
  return request;
}

Json version_info() {
  constexpr std::string_view kVersion = PAGURUS_VERSION;
  int parts[3] = {};
  const char* at = kVersion.data();
  const char* end = at + kVersion.size();
  for (int& part : parts) {
    at = std::from_chars(at, end, part).ptr;
    if (at != end) ++at;
  }
  return Json::object({{"qemu", Json::object({{"micro", parts[2]}, {"minor", parts[1]}, {"major", parts[0]}})},
                       {"package", "pagurus-" PAGURUS_VERSION}});
}

Json greeting() {
  return Json::object({{"QMP", Json::object({{"version", version_info()}, {"capabilities", Json::Array()}})}});
}

Json success_reply(Json result, const Json* id) { return with_id(Json::object({{"return", std::move(result)}}), id); }

Json error_reply(const Error& error, const Json* id) {
  Json body = Json::object({{"class", name_of(error.error_class())}, {"desc", error.message()}});
  return with_id(Json::object({{"error", std::move(body)}}), id);
}

Json event(std::string_view name, Json data, int64_t at_ns) {
  Json time = Json::object({{"seconds", at_ns / 1'000'000'000}, {"microseconds", at_ns % 1'000'000'000 / 1000}});
  Json result = Json::object({{"timestamp", std::move(time)}, {"event", name}});
  if (!data.is_null()) result.set("data", std::move(data));
  return result;
}

}  // namespace pagurus::monitor
