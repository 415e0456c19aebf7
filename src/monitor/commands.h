// The commands and what they act on.  commands.cc is the table; one file per subject holds the
// handlers.
#pragma once

#include "base/named_fds.h"
#include "event/loop.h"
#include "machine/machine.h"
#include "migration/migration.h"
#include "monitor/command.h"
#include "monitor/process_info.h"

namespace pagurus::monitor {

// Everything here outlives the table.
struct Services {
  event::Loop& loop;
  machine::Machine& machine;
  migration::Migration& migration;
  NamedFds& named_fds;
  const ProcessInfo& process;
};

qapi::CommandTable make_commands(Services services);

void add_machine_commands(CommandTable& table, Services services);
void add_migration_commands(CommandTable& table, Services services);
void add_process_commands(CommandTable& table, Services services);

}  // namespace pagurus::monitor
