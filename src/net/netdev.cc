#include "net/netdev.h"

#include "net/dgram.h"
#include "net/stream.h"
#include "net/tap.h"
#include "net/vhost_user/vhost_user.h"

namespace pagurus::net {

Result<std::unique_ptr<Backend>> create_netdev(const schema::Netdev& options, const NetdevParts& parts) {
  switch (options.type()) {
    case schema::NetClientDriver::kTap:
      return Tap::create(TRY(TapConfig::from(options.id, *options.as_tap())), parts.named_fds);
    case schema::NetClientDriver::kBridge:
      return Tap::create(TRY(TapConfig::from(options.id, *options.as_bridge())), parts.named_fds);
    case schema::NetClientDriver::kStream:
      return Stream::create(TRY(StreamConfig::from(options.id, *options.as_stream())), parts);
    case schema::NetClientDriver::kDgram:
      return std::make_unique<Dgram>(TRY(DgramConfig::from(options.id, *options.as_dgram())), parts.named_fds);
    case schema::NetClientDriver::kVhostUser: {
      auto config = TRY(VhostUserConfig::from(options.id, *options.as_vhost_user(), parts.chardevs));
      return std::make_unique<VhostUser>(std::move(config), parts);
    }
  }
  return fail("netdev '{}' is of no known type", options.id);
}

}  // namespace pagurus::net
