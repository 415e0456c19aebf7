// What `query-qmp-schema` answers: every command and event, and the types that they use, as QEMU describes
// them.  Types have numbers in place of names, since only the names of commands, events, members and values
// are an interface.
//
// Writes schema/introspection.{h,cc} with a function `std::string_view introspection()` that returns the JSON.
#pragma once

#include <vector>

#include "output_file.h"
#include "schema.h"

namespace pagurus::qapi_gen {

Checked<std::vector<OutputFile>> emit_introspect(const Schema& schema);

}  // namespace pagurus::qapi_gen
