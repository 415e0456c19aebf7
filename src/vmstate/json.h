// A declaration as JSON, for `pagurus -dump-vmstate`.
#pragma once

#include <string>

#include "vmstate/description.h"

namespace pagurus::vmstate {

// {"name": ..., "version": ..., "fields": [{"name": ..., "type": ..., ...}, ...]} as it is in `version`
// (0: the newest), nested structs included, indented by `indent` steps of two blanks after the first
// line.
std::string to_json(const Description& description, uint16_t version = 0, unsigned indent = 0);

}  // namespace pagurus::vmstate
