// From the parsed command line to a running machine, until its end.
#pragma once

#include "app/command_line.h"
#include "monitor/process_info.h"

namespace pagurus::app {

// Returns the exit code of the process.
Result<int> run(const Invocation& invocation, const monitor::ProcessInfo& process);

}  // namespace pagurus::app
