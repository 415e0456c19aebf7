#include "monitor/protocol.h"

#include <charconv>

#include "qapi/json_output.h"

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

Json with_id(Json reply, const std::optional<Json>& id) {
  if (id) reply.set("id", *id);
  return reply;
}

}  // namespace

Result<Request> parse_request(const Json& message) {
  if (!message.is_object()) return fail("QMP input must be a JSON object");
  Request request{.arguments = Json::object()};
  std::string_view lane;
  for (const auto& [name, value] : message.as_object()) {
    if (name == "execute" || name == "exec-oob") {
      if (!lane.empty()) return fail("QMP input members 'execute' and 'exec-oob' exclude each other");
      lane = name;
      if (!value.is_string()) return fail("QMP input member '{}' must be a string", name);
      request.command = value.as_string();
      request.lane = name == "execute" ? Request::Lane::kInBand : Request::Lane::kOutOfBand;
    } else if (name == "arguments") {
      if (!value.is_object()) return fail("QMP input member 'arguments' must be an object");
      request.arguments = value;
    } else if (name != "id") {
      return fail("QMP input member '{}' is unexpected", name);
    }
  }
  if (lane.empty()) return fail("QMP input lacks member 'execute'");
  return request;
}

schema::VersionInfo version_info() {
  constexpr std::string_view kVersion = PAGURUS_VERSION;
  int parts[3] = {};
  const char* at = kVersion.data();
  const char* end = at + kVersion.size();
  for (int& part : parts) {
    at = std::from_chars(at, end, part).ptr;
    if (at != end) ++at;
  }
  schema::VersionInfo info;
  info.qemu = {.major = parts[0], .minor = parts[1], .micro = parts[2]};
  info.package = "pagurus-" PAGURUS_VERSION;
  return info;
}

Json greeting() {
  Json capabilities = qapi::to_json(std::vector{schema::QMPCapability::kOob});
  return Json::object(
      {{"QMP", Json::object({{"version", qapi::to_json(version_info())}, {"capabilities", std::move(capabilities)}})}});
}

Json success_reply(Json result, const std::optional<Json>& id) {
  return with_id(Json::object({{"return", std::move(result)}}), id);
}

Json error_reply(const Error& error, const std::optional<Json>& id) {
  Json body = Json::object({{"class", name_of(error.error_class())}, {"desc", error.message()}});
  return with_id(Json::object({{"error", std::move(body)}}), id);
}

Json event_message(qapi::Event event, int64_t at_ns) {
  Json time = Json::object({{"seconds", at_ns / 1'000'000'000}, {"microseconds", at_ns % 1'000'000'000 / 1000}});
  Json result = Json::object({{"timestamp", std::move(time)}, {"event", event.name}});
  if (!event.data.is_null()) result.set("data", std::move(event.data));
  return result;
}

}  // namespace pagurus::monitor
