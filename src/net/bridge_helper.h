// Runs a bridge helper, as QEMU does: "HELPER --use-vnet --fd=N --br=BRIDGE" opens a TAP, makes it a port of the bridge
// and passes it through the UNIX domain socket N.  The helper may have rights for that which this process has not.
#pragma once

#include <chrono>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace pagurus::net {

struct BridgeHelper {
  std::string program = "/usr/lib/qemu/qemu-bridge-helper";  // where Debian has QEMU's
  std::string bridge = "br0";
  std::chrono::seconds patience{30};  // then it is killed
};

// Waits for the end of the helper.  An error tells what it wrote to its standard error.  What the descriptor is, the
// caller has to look at.
Result<UniqueFd> run_bridge_helper(const BridgeHelper& helper);

}  // namespace pagurus::net
