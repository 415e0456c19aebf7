#include "net/netdev.h"

#include "net/tap.h"

namespace pagurus::net {

Result<std::unique_ptr<Backend>> create_netdev(const schema::Netdev& options, NamedFds& named_fds) {
  switch (options.type()) {
    case schema::NetClientDriver::kTap:
      return Tap::create(TRY(TapConfig::from(options.id, *options.as_tap())), named_fds);
  }
  return fail("netdev '{}' is of no known type", options.id);
}

}  // namespace pagurus::net
