// From options, each by itself well-formed, to an Invocation: what only all options together tell, and
// what this version does not support.
#pragma once

#include "app/command_line.h"
#include "schema/command_line.h"

namespace pagurus::app {

Result<Invocation> to_invocation(schema::CommandLineOptions options);

// The guest's machine: type, processors, memory, kernel, identity.
Result<void> settle_machine(const schema::CommandLineOptions& options, machine::Config& config);
// Network, devices, consoles, QMP, and where a running guest comes in from.
Result<void> settle_devices(schema::CommandLineOptions& options, Invocation& invocation);
// This process: background, log.
Result<void> settle_process(const schema::CommandLineOptions& options, Invocation& invocation);

}  // namespace pagurus::app
