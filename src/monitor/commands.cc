// The table of commands, by subject.
#include "monitor/commands.h"

#include <memory>

namespace pagurus::monitor {

using qapi::Json;

qapi::CommandTable make_commands(Services services) {
  qapi::CommandTable result;
  CommandTable table(result);
  add_machine_commands(table, services);
  add_migration_commands(table, services);
  add_process_commands(table, services);
  auto names = std::make_shared<std::vector<std::string>>();  // shared with the one handler below
  table.add("query-commands", [names](Call& call) -> Result<Json> {
    TRY(call.arguments.finish());
    Json::Array list;
    for (const std::string& name : *names) list.push_back(Json::object({{"name", name}}));
    return Json(std::move(list));
  });
  *names = result.names();
  // Sessions execute this one themselves: it changes their state.
  names->push_back("qmp_capabilities");
  return result;
}

}  // namespace pagurus::monitor
