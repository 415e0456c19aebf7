// The command line of qapi-gen.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "parser.h"
#include "strict.h"

namespace pagurus::qapi_gen {

struct Options {
  enum class Action { kCheck, kEmit, kHelp, kVersion };
  Action action = Action::kCheck;
  Dialect dialect = Dialect::kStrict;
  std::string emitter;             // kEmit: what to make
  std::string directory;           // kEmit: where
  std::string depfile;             // kEmit: may be empty
  std::vector<std::string> files;  // kEmit: one
  SinceVersion project_version;    // nothing in a schema can be newer
};

// Without the program's name.  The version of a schema's project is the program's own, X.Y.Z, unless the options
// say otherwise.
Result<Options> parse_options(const std::vector<std::string>& words, std::string_view program_version);
std::string_view help_text();

}  // namespace pagurus::qapi_gen
