// From expressions to definitions: the rules that hold for each expression by itself, such as which keys it
// has, what its values are and what its names look like.
#pragma once

#include <vector>

#include "definition.h"
#include "parser.h"

namespace pagurus::qapi_gen {

Checked<std::vector<Definition>> read_definitions(const Parsed& parsed);

}  // namespace pagurus::qapi_gen
