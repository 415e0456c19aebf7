// The address of a UNIX socket, for those who connect to it and those who make it.
#pragma once

#include <sys/un.h>

#include <string>

#include "base/result.h"

namespace pagurus::ctl {

// Fails for a path that no such socket can have.
Result<sockaddr_un> unix_address(const std::string& path);

}  // namespace pagurus::ctl
