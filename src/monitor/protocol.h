// The words of QMP: greeting, requests, replies and events, as pure functions between JSON and
// structs.  docs/interop/qmp-spec of QEMU defines them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "qapi/event.h"
#include "qapi/json.h"
#include "schema/control.h"

namespace pagurus::monitor {

struct Request {
  enum class Lane {
    kInBand,     // "execute": after everything that was sent before
    kOutOfBand,  // "exec-oob": at once
  };

  Lane lane = Lane::kInBand;
  std::string command;
  qapi::Json arguments;  // an object
};

// Takes a message apart.  Fails for one that is no command.
Result<Request> parse_request(const qapi::Json& message);

schema::VersionInfo version_info();
qapi::Json greeting();
// `id`: the request's, or nothing.
qapi::Json success_reply(qapi::Json result, const std::optional<qapi::Json>& id);
qapi::Json error_reply(const Error& error, const std::optional<qapi::Json>& id);
// at_ns: CLOCK_REALTIME.
qapi::Json event_message(qapi::Event event, int64_t at_ns);

}  // namespace pagurus::monitor
