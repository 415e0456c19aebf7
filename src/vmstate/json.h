// A declaration as JSON, for `pagurus -dump-vmstate`.
#pragma once

#include <string>

#include "vmstate/description.h"

namespace pagurus::vmstate {

// {"name": ..., "version": ..., "fields": [{"name": ..., "type": ..., ...}, ...]}, nested structs
// included, indented by `indent` steps of two blanks after the first line.
std::string to_json(const Description& description, unsigned indent = 0);

}  // namespace pagurus::vmstate
