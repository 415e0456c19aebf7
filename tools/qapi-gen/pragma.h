// `pragma` directives: what they may say, and what they mean.
#pragma once

#include "parser.h"

namespace pagurus::qapi_gen {

// `value` is what the key 'pragma' has; `at` is the directive's place.  A pragma that was given before is
// replaced, strict-exceptions are added up.
Checked<> apply_pragma(Pragmas& pragmas, const Value& value, Dialect dialect, const Position& at);

}  // namespace pagurus::qapi_gen
