// The command line of qapi-gen.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "parser.h"

namespace pagurus::qapi_gen {

struct Options {
  enum class Action { kCheck, kEmit, kHelp, kVersion };
  Action action = Action::kCheck;
  Dialect dialect = Dialect::kStrict;
  std::string emitter;             // kEmit: what to make
  std::string directory;           // kEmit: where
  std::string depfile;             // kEmit: may be empty
  std::vector<std::string> files;  // kEmit: one
};

// Without the program's name.
Result<Options> parse_options(const std::vector<std::string>& words);
std::string_view help_text();

}  // namespace pagurus::qapi_gen
