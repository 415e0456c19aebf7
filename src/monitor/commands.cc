// The table of commands, by subject.
#include "monitor/commands.h"

#include <memory>

namespace pagurus::monitor {

using qapi::Json;

CommandTable make_commands(Services services) {
  CommandTable table;
  add_machine_commands(table, services);
  add_migration_commands(table, services);
  add_process_commands(table, services);
  auto names = std::make_shared<std::vector<std::string>>();  // shared with the one handler below
  table.add("query-commands", [names](Call& call) -> Result<Json> {
    TRY(call.arguments.finish());
    Json::Array result;
    for (const std::string& name : *names) result.push_back(Json::object({{"name", name}}));
    return Json(std::move(result));
  });
  *names = table.names();
  // Sessions execute this one themselves: it changes their state.
  names->push_back("qmp_capabilities");
  return table;
}

}  // namespace pagurus::monitor
