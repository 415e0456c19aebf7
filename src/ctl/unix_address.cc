#include "ctl/unix_address.h"

#include <sys/socket.h>

#include <cstring>

namespace pagurus::ctl {

Result<sockaddr_un> unix_address(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    return fail("'{}' cannot be the path of a UNIX socket (1 to {} bytes)", path, sizeof address.sun_path - 1);
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

}  // namespace pagurus::ctl
