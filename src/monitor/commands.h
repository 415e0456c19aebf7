// The commands and what they act on.  The schema says which there are; one file per module implements
// the interface that was generated from it.
#pragma once

#include <memory>

#include "base/named_fds.h"
#include "event/loop.h"
#include "machine/machine.h"
#include "migration/migration.h"
#include "monitor/process_info.h"
#include "qapi/command.h"
#include "schema/control_commands.h"
#include "schema/machine_commands.h"
#include "schema/migration_commands.h"
#include "schema/net_commands.h"
#include "schema/run_state_commands.h"

namespace pagurus::monitor {

// Everything here outlives the commands.
struct Services {
  event::Loop& loop;
  machine::Machine& machine;
  migration::Migration& migration;
  NamedFds& named_fds;
  const ProcessInfo& process;
};

// Threads: commands run on the control thread; those that the schema allows out of band, on any.
class Commands {
 public:
  explicit Commands(Services services);
  ~Commands();
  Commands(const Commands&) = delete;
  Commands& operator=(const Commands&) = delete;

  const qapi::CommandTable& table() const { return table_; }

 private:
  std::unique_ptr<schema::ControlCommands> control_;
  std::unique_ptr<schema::RunStateCommands> run_state_;
  std::unique_ptr<schema::MachineCommands> machine_;
  std::unique_ptr<schema::NetCommands> net_;
  std::unique_ptr<schema::MigrationCommands> migration_;
  qapi::CommandTable table_;
};

// table: what query-commands lists; complete when the first command runs.
std::unique_ptr<schema::ControlCommands> make_control_commands(Services services, const qapi::CommandTable& table);
std::unique_ptr<schema::RunStateCommands> make_run_state_commands(Services services);
std::unique_ptr<schema::MachineCommands> make_machine_commands(Services services);
std::unique_ptr<schema::NetCommands> make_net_commands(Services services);
std::unique_ptr<schema::MigrationCommands> make_migration_commands(Services services);

}  // namespace pagurus::monitor
