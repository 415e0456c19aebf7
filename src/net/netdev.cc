#include "net/netdev.h"

#include "net/tap.h"

namespace pagurus::net {

Result<std::unique_ptr<Backend>> create_netdev(qapi::Options options, NamedFds& named_fds) {
  auto type = TRY(options.take_string("type")).value_or("");
  if (type != "tap") {
    return fail("-netdev: back end type '{}' is not supported; this version has 'tap'", type);
  }
  return Tap::create(TRY(TapConfig::parse(options)), named_fds);
}

std::string netdev_help() {
  return "Network back ends:\n"
         "tap,id=ID[,ifname=NAME][,fd=N|NAME][,script=PATH|no][,downscript=PATH|no]\n"
         "    [,vnet_hdr=on|off][,sndbuf=SIZE]\n"
         "        a TAP device of the host: an existing one (ifname=), a new one that script= configures,\n"
         "        or an open one (fd=, a number or a name given by getfd)\n";
}

}  // namespace pagurus::net
