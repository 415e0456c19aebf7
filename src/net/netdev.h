// -netdev and -netdev help: from options to a back end.
#pragma once

#include <memory>
#include <string>

#include "base/named_fds.h"
#include "net/backend.h"
#include "qapi/options.h"

namespace pagurus::net {

// options: as parsed from -netdev, with the key "type".  The back end is pending.
Result<std::unique_ptr<Backend>> create_netdev(qapi::Options options, NamedFds& named_fds);
// The text of `-netdev help`.
std::string netdev_help();

}  // namespace pagurus::net
