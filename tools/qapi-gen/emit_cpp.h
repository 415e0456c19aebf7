// The schema as C++: types, their visits, interfaces of commands, and events.
//
// For each module, e.g. net.json: schema/net.{h,cc}, schema/net_commands.{h,cc}, schema/net_events.{h,cc},
// whether there is something in them or not, so that a build knows their names without reading the schema;
// and schema/all_types.h for what wants to try every type.
#pragma once

#include <vector>

#include "output_file.h"
#include "schema.h"

namespace pagurus::qapi_gen {

Checked<std::vector<OutputFile>> emit_cpp(const Schema& schema);

}  // namespace pagurus::qapi_gen
