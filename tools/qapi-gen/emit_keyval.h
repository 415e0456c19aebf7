// The command line, from the schema's struct CommandLineOptions: a table of options, a function that
// applies one, and the texts of their help.
//
// Writes schema/options.{h,cc}.  Both are there, without anything in them, if the schema has no such
// struct, so that a build knows their names without reading the schema.
#pragma once

#include <vector>

#include "output_file.h"
#include "schema.h"

namespace pagurus::qapi_gen {

Checked<std::vector<OutputFile>> emit_keyval(const Schema& schema);

}  // namespace pagurus::qapi_gen
