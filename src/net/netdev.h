// -netdev: from options to a back end.
#pragma once

#include <memory>
#include <string>

#include "base/named_fds.h"
#include "net/backend.h"
#include "schema/net.h"

namespace pagurus::net {

// The back end is pending.
Result<std::unique_ptr<Backend>> create_netdev(const schema::Netdev& options, NamedFds& named_fds);

}  // namespace pagurus::net
