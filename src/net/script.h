// Runs a network script, as QEMU does: "SCRIPT IFNAME", waits for it, and takes a status other than
// 0 as a failure.
#pragma once

#include <string>

#include "base/result.h"

namespace pagurus::net {

Result<void> run_script(const std::string& script, const std::string& ifname);

}  // namespace pagurus::net
