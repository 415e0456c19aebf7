// The words of QMP: greeting, requests, replies and events, as pure functions between JSON and
// structs.  docs/interop/qmp-spec of QEMU defines them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "qapi/json.h"

namespace pagurus::monitor {

struct Request {
  std::string command;
  qapi::Json::Object arguments;
};

// Takes a message apart.  Fails for one that is no command.
Result<Request> parse_request(const qapi::Json& message);

// {"qemu": {...}, "package": ...}: QMP clients look for the version under the name "qemu".
qapi::Json version_info();
qapi::Json greeting();
// `id`: the request's, or nullptr.
qapi::Json success_reply(qapi::Json result, const qapi::Json* id);
qapi::Json error_reply(const Error& error, const qapi::Json* id);
// at_ns: CLOCK_REALTIME.
qapi::Json event(std::string_view name, qapi::Json data, int64_t at_ns);

}  // namespace pagurus::monitor
