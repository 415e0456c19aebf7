#include "monitor/commands.h"

#include "qapi/json_reader.h"
#include "schema/introspection.h"

namespace pagurus::monitor {
namespace {

// Its return type describes every type of the schema, itself too: the text is made with the code.
Result<qapi::Json> query_qmp_schema(qapi::Call&, const qapi::Json& arguments) {
  TRY(qapi::no_arguments(arguments));
  return qapi::parse_json(schema::introspection());
}

}  // namespace

Commands::Commands(Services services)
    : control_(make_control_commands(services, table_)),
      run_state_(make_run_state_commands(services)),
      machine_(make_machine_commands(services)),
      net_(make_net_commands(services)),
      migration_(make_migration_commands(services)) {
  schema::register_commands(table_, *control_);
  schema::register_commands(table_, *run_state_);
  schema::register_commands(table_, *machine_);
  schema::register_commands(table_, *net_);
  schema::register_commands(table_, *migration_);
  table_.add({.name = "query-qmp-schema"}, query_qmp_schema);
}

Commands::~Commands() = default;

}  // namespace pagurus::monitor
