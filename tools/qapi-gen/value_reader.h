// From tokens to values: the syntax of strings, booleans, lists and objects.
#pragma once

#include "lexer.h"
#include "value.h"

namespace pagurus::qapi_gen {

// The lexer's token is the value's first; afterwards it is what follows the value.
Checked<Value> read_value(Lexer& lexer);

}  // namespace pagurus::qapi_gen
