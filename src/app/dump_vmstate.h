// `pagurus -dump-vmstate`
#pragma once

#include <string>

#include "base/result.h"

namespace pagurus::app {

// A machine type's compat properties, every declaration of a state in the version that it writes, and the
// messages of a hand-over, as one JSON text.
Result<std::string> dump_vmstate(const std::string& machine_type);

}  // namespace pagurus::app
