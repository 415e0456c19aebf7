#include <algorithm>
#include <charconv>

#include "app/settings.h"
#include "chardev/chardev.h"
#include "migration/address.h"

namespace pagurus::app {
namespace {

using monitor::Endpoint;
using schema::ChardevBackendKind;
using schema::ChardevOptions;

Result<void> settle_serial(const std::string& where, machine::Config& config) {
  if (where == "none") return {};
  constexpr std::string_view kReference = "chardev:";
  if (where.starts_with(kReference)) {
    config.serials.push_back(where.substr(kReference.size()));
    return {};
  }
  config.chardevs.push_back(TRY_DOING("-serial", chardev::expand_address(where, "serial0")));
  config.serials.push_back("serial0");
  return {};
}

Result<Endpoint> listening_endpoint(const schema::ChardevSocketOptions& socket) {
  if (!socket.server.value_or(false)) return fail("a QMP socket is a server: add server=on");
  // wait=on is what QEMU does without the option, so it has to be said that it is not wanted.
  if (socket.wait.value_or(true)) return fail("waiting for a client is not supported: add wait=off");
  return Endpoint{.kind = Endpoint::Kind::kListen, .path = socket.path.value_or("")};
}

Result<int> descriptor_of(const std::string& text) {
  int fd = -1;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), fd);
  bool good = error == std::errc() && end == text.data() + text.size() && fd >= 3 && fd <= 1'000'000;
  if (!good) return fail("'{}' is no file descriptor number from 3 on", text);
  return fd;
}

// A character device that serves QMP.
Result<Endpoint> to_endpoint(const ChardevOptions& options) {
  if (options.backend() == ChardevBackendKind::kStdio) return Endpoint{.kind = Endpoint::Kind::kStdio};
  const schema::ChardevSocketOptions* socket = options.as_socket();
  if (socket == nullptr) {
    return fail("character device '{}' is a '{}'; QMP needs a socket or stdio", options.id,
                schema::to_string(options.backend()));
  }
  if (socket->fd) return Endpoint{.kind = Endpoint::Kind::kConnected, .fd = TRY(descriptor_of(*socket->fd))};
  if (!socket->path) return fail("socket '{}' needs path= or fd=", options.id);
  return listening_endpoint(*socket);
}

Result<Endpoint> settle_qmp(const std::string& where) {
  bool good = where == "stdio" || where.starts_with("unix:");
  if (!good) return fail("-qmp: '{}' is not supported; write unix:PATH,server=on,wait=off or stdio", where);
  auto options = TRY_DOING("-qmp", chardev::expand_address(where, "qmp"));
  return TRY_DOING("-qmp", to_endpoint(options));
}

Result<void> settle_monitors(const std::vector<schema::MonitorOptions>& monitors, Invocation& invocation) {
  auto& chardevs = invocation.config.chardevs;
  for (const schema::MonitorOptions& options : monitors) {
    auto found = std::ranges::find(chardevs, options.chardev, &ChardevOptions::id);
    if (found == chardevs.end()) {
      return fail("-mon: there is no character device '{}' (or it is used twice)", options.chardev);
    }
    if (std::ranges::find(invocation.config.serials, options.chardev) != invocation.config.serials.end()) {
      return fail("-mon: character device '{}' is used by -serial", options.chardev);
    }
    invocation.endpoints.push_back(TRY_DOING("-mon", to_endpoint(*found)));
    if (options.pretty.value_or(false)) invocation.endpoints.back().style = monitor::Session::Style::kPretty;
    chardevs.erase(found);
  }
  return {};
}

Result<void> settle_incoming(const std::string& where, Invocation& invocation) {
  invocation.config.incoming = true;
  if (where == "defer") return {};
  TRY_DOING("-incoming", migration::Address::parse(where));
  invocation.incoming_uri = where;
  return {};
}

Result<void> check_stdio(const Invocation& invocation) {
  auto users = std::ranges::count(invocation.endpoints, Endpoint::Kind::kStdio, &Endpoint::kind) +
               std::ranges::count(invocation.config.chardevs, ChardevBackendKind::kStdio, &ChardevOptions::backend);
  if (users > 1) return fail("standard input and output can serve only one of -serial, -qmp and -chardev");
  if (users > 0 && invocation.daemonize) {
    return fail("-daemonize leaves no standard input and output, which 'stdio' needs");
  }
  return {};
}

}  // namespace

Result<void> settle_devices(schema::CommandLineOptions& options, Invocation& invocation) {
  machine::Config& config = invocation.config;
  if (options.netdev) config.netdevs = std::move(*options.netdev);
  if (options.device) config.devices = std::move(*options.device);
  if (options.chardev) config.chardevs = std::move(*options.chardev);
  if (options.serial) TRY(settle_serial(*options.serial, config));
  for (const std::string& where : options.qmp.value_or(std::vector<std::string>())) {
    invocation.endpoints.push_back(TRY(settle_qmp(where)));
  }
  if (options.mon) TRY(settle_monitors(*options.mon, invocation));
  if (options.incoming) TRY(settle_incoming(*options.incoming, invocation));
  return check_stdio(invocation);
}

}  // namespace pagurus::app
