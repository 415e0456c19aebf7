// Parts of emit_cpp: interfaces of commands, and functions that make events.
#pragma once

#include "cpp_model.h"
#include "output_file.h"

namespace pagurus::qapi_gen {

OutputFile commands_header(const CppModule& module);
OutputFile commands_source(const CppModule& module);
OutputFile events_header(const CppModule& module);
OutputFile events_source(const CppModule& module);

// The arguments if they are a struct that has no name in the schema; else nullptr.  None for a command
// whose code is not generated.
const ObjectType* own_arguments(const Command& command);
const ObjectType* own_arguments(const Event& event);

}  // namespace pagurus::qapi_gen
