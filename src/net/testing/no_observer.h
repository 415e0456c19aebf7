// For back ends whose connections interest nobody; a test overrides what interests it.
#pragma once

#include <string>

#include "net/netdev.h"

namespace pagurus::net::testing {

struct NoObserver : ConnectionObserver {
  void netdev_connected(const std::string&, const schema::SocketAddress&) override {}
  void netdev_disconnected(const std::string&) override {}
  void vhost_user_connected(const std::string&, const std::string&) override {}
  void vhost_user_disconnected(const std::string&) override {}
};

}  // namespace pagurus::net::testing
