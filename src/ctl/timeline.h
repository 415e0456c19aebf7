// `pagurusctl timeline`: the phases of a process' last migration, from its answer to query-migrate.
#pragma once

#include <string>

#include "base/result.h"
#include "qapi/json.h"

namespace pagurus::ctl {

// A line with a bar for each phase.  Those of the pause, which are much shorter, have a scale of their own.
// Fails if the process has no migration to tell of.
Result<std::string> timeline_text(const qapi::Json& info);
// The same for Chrome's about:tracing and for Perfetto: an object of the "Trace Event Format", times in
// microseconds since the command migrate.
Result<qapi::Json> chrome_trace(const qapi::Json& info);

}  // namespace pagurus::ctl
