// Options that connect the guest to the host: network, devices, consoles, QMP, and where a running
// guest comes in from.
#include <algorithm>

#include "app/option.h"
#include "chardev/chardev.h"
#include "machine/machine.h"
#include "net/netdev.h"

namespace pagurus::app {
namespace {

using monitor::Endpoint;
using Count = Option::Count;

Result<void> add_netdev(Draft& draft, const std::string& value) {
  if (value == "help") {
    draft.invocation.print = net::netdev_help();
    return {};
  }
  draft.invocation.config.netdevs.push_back(TRY(qapi::Options::parse(value, "type", "-netdev")));
  return {};
}

Result<void> add_device(Draft& draft, const std::string& value) {
  if (value == "help") {
    draft.invocation.print = machine::device_help("");
    return {};
  }
  if (value.ends_with(",help")) {
    std::string driver = value.substr(0, value.size() - 5);
    draft.invocation.print = machine::device_help(driver);
    // For a driver it does not know, device_help() lists those it does.
    if (draft.invocation.print == machine::device_help(""))
      return fail("-device: '{}' is no device ('-device help' lists them)", driver);
    return {};
  }
  draft.invocation.config.devices.push_back(TRY(qapi::Options::parse(value, "driver", "-device")));
  return {};
}

Result<void> add_chardev(Draft& draft, const std::string& value) {
  if (value == "help") {
    draft.invocation.print = chardev::chardev_help();
    return {};
  }
  draft.invocation.config.chardevs.push_back(TRY(qapi::Options::parse(value, chardev::kImpliedKey, "-chardev")));
  return {};
}

Result<void> set_serial(Draft& draft, const std::string& value) {
  machine::Config& config = draft.invocation.config;
  if (value == "none") return {};
  constexpr std::string_view kReference = "chardev:";
  if (value.starts_with(kReference)) {
    config.serials.push_back(value.substr(kReference.size()));
    return {};
  }
  const std::string id = "serial0";
  config.chardevs.push_back(TRY(chardev::expand_serial(value, id)));
  config.serials.push_back(id);
  return {};
}

// What is left of a UNIX server socket's options once the path is known.
Result<void> require_server(qapi::Options& options) {
  if (!TRY(options.take_bool("server")).value_or(false)) {
    return fail("{}: a QMP socket is a server: add server=on", options.context());
  }
  // wait=on is what QEMU does without the option, so it has to be said that it is not wanted.
  if (TRY(options.take_bool("wait")).value_or(true)) {
    return fail("{}: waiting for a client is not supported: add wait=off", options.context());
  }
  return options.finish();
}

Result<void> add_qmp(Draft& draft, const std::string& value) {
  auto& endpoints = draft.invocation.endpoints;
  if (value == "stdio") {
    endpoints.push_back({.kind = Endpoint::Kind::kStdio});
    return {};
  }
  constexpr std::string_view kUnix = "unix:";
  if (!value.starts_with(kUnix)) {
    return fail("-qmp: '{}' is not supported; write unix:PATH,server=on,wait=off or stdio", value);
  }
  auto options = TRY(qapi::Options::parse(value.substr(kUnix.size()), "path", "-qmp"));
  auto path = TRY(options.take_string("path")).value_or("");
  if (path.empty()) return fail("-qmp: the path is missing: unix:PATH,server=on,wait=off");
  TRY(require_server(options));
  endpoints.push_back({.kind = Endpoint::Kind::kListen, .path = path});
  return {};
}

Result<void> add_mon(Draft& draft, const std::string& value) {
  auto options = TRY(qapi::Options::parse(value, "chardev", "-mon"));
  auto id = TRY(options.take_string("chardev"));
  if (!id) return fail("-mon: chardev= is missing");
  auto mode = TRY(options.take_string("mode")).value_or("readline");
  if (mode != "control") {
    return fail("-mon: mode '{}' is not supported; QMP is mode=control", mode);
  }
  TRY(options.finish());
  draft.mon_chardevs.push_back(*id);
  return {};
}

// A character device that serves QMP, as an endpoint.
Result<Endpoint> to_endpoint(qapi::Options options, const std::string& id) {
  TRY(options.take_string("id"));
  auto backend = TRY(options.take_string(chardev::kImpliedKey)).value_or("");
  if (backend == "stdio") {
    TRY(options.finish());
    return Endpoint{.kind = Endpoint::Kind::kStdio};
  }
  if (backend != "socket") {
    return fail("-mon: character device '{}' is a '{}'; QMP needs a socket or stdio", id, backend);
  }
  if (auto fd = TRY(options.take_uint("fd", 3, 1'000'000))) {
    TRY(options.finish());
    return Endpoint{.kind = Endpoint::Kind::kConnected, .fd = static_cast<int>(*fd)};
  }
  auto path = TRY(options.take_string("path")).value_or("");
  if (path.empty()) return fail("-chardev: socket '{}' needs path= or fd=", id);
  TRY(require_server(options));
  return Endpoint{.kind = Endpoint::Kind::kListen, .path = path};
}

// The id of a -chardev, without consuming it.
std::string id_of(qapi::Options options) {
  auto id = options.take_string("id");
  return id && *id ? **id : "";
}

std::string backend_of(qapi::Options options) {
  auto backend = options.take_string(chardev::kImpliedKey);
  return backend && *backend ? **backend : "";
}

Result<void> set_incoming(Draft& draft, const std::string& value) {
  draft.invocation.config.incoming = true;
  if (value == "defer") return {};
  if (!value.starts_with("unix:") || value.size() == 5) {
    return fail(
        "-incoming: '{}' is not supported: a hand-over goes over a UNIX domain socket; "
        "write unix:PATH, or defer and use migrate-incoming",
        value);
  }
  draft.invocation.incoming_uri = value;
  return {};
}

}  // namespace

std::vector<Option> device_options() {
  return {
      {"netdev", "TYPE,id=ID[,key=value...]", "network back end ('help' lists them)", Count::kMany, add_netdev},
      {"device", "DRIVER[,key=value...]", "device ('help' lists them; 'DRIVER,help' its properties)", Count::kMany,
       add_device},
      {"chardev", "TYPE,id=ID[,key=value...]", "character back end ('help' lists them)", Count::kMany, add_chardev},
      {"serial", "WHERE", "serial port: stdio, null, none, file:PATH, unix:PATH,server=on,wait=off, chardev:ID",
       Count::kOnce, set_serial},
      {"qmp", "WHERE", "control protocol: unix:PATH,server=on,wait=off or stdio", Count::kMany, add_qmp},
      {"mon", "chardev=ID,mode=control", "control protocol on a character back end", Count::kMany, add_mon},
      {"incoming", "unix:PATH|defer", "wait for a running guest, there or where migrate-incoming says", Count::kOnce,
       set_incoming},
  };
}

Result<void> finish_devices(Draft& draft) {
  Invocation& invocation = draft.invocation;
  auto& chardevs = invocation.config.chardevs;
  for (const std::string& id : draft.mon_chardevs) {
    auto found = std::ranges::find(chardevs, id, id_of);
    if (found == chardevs.end()) return fail("-mon: there is no character device '{}' (or it is used twice)", id);
    if (std::ranges::find(invocation.config.serials, id) != invocation.config.serials.end()) {
      return fail("-mon: character device '{}' is used by -serial", id);
    }
    invocation.endpoints.push_back(TRY(to_endpoint(*found, id)));
    chardevs.erase(found);
  }
  auto count_stdio = std::ranges::count(invocation.endpoints, Endpoint::Kind::kStdio, &Endpoint::kind) +
                     std::ranges::count(chardevs, "stdio", backend_of);
  if (count_stdio > 1) return fail("standard input and output can serve only one of -serial, -qmp and -chardev");
  if (count_stdio > 0 && invocation.daemonize) {
    return fail("-daemonize leaves no standard input and output, which 'stdio' needs");
  }
  return {};
}

}  // namespace pagurus::app
