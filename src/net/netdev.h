// -netdev: from options to a back end.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "base/named_fds.h"
#include "event/loop.h"
#include "net/backend.h"
#include "net/vhost_user/socket.h"
#include "schema/char.h"
#include "schema/net.h"

namespace pagurus::net {

// Told on the control thread when somebody connects to a back end, or leaves it.
class ConnectionObserver {
 public:
  virtual ~ConnectionObserver() = default;
  virtual void netdev_connected(const std::string& id, const schema::SocketAddress& peer) = 0;
  virtual void netdev_disconnected(const std::string& id) = 0;
  virtual void vhost_user_connected(const std::string& id, const std::string& chardev) = 0;
  virtual void vhost_user_disconnected(const std::string& id) = 0;
};

// What back ends are made of besides their options; outlives them.
struct NetdevParts {
  NamedFds& named_fds;
  event::Loop& loop;
  ConnectionObserver& observer;
  // Those that the process was started with.
  std::span<const schema::ChardevOptions> chardevs = {};
  // For a first connection without which there is no back end.
  vhost_user::Patience patience = vhost_user::Patience::kNone;
};

// The back end is pending.
Result<std::unique_ptr<Backend>> create_netdev(const schema::Netdev& options, const NetdevParts& parts);

}  // namespace pagurus::net
