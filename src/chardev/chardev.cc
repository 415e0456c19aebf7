#include "chardev/chardev.h"

#include "chardev/null_backend.h"
#include "chardev/socket_backend.h"
#include "chardev/stream_backend.h"

namespace pagurus::chardev {
namespace {

using qapi::Options;

Result<std::string> require(Options& options, std::string_view key) {
  auto value = TRY(options.take_string(key));
  if (!value || value->empty()) return fail("{}: option '{}' is required", options.context(), key);
  return std::move(*value);
}

Result<StreamConfig> parse_stdio(Options& options, std::string id) {
  bool signals = TRY(options.take_bool("signal")).value_or(true);
  return StreamConfig{.id = std::move(id),
                      .kind = StreamConfig::Kind::kStdio,
                      .signals = signals ? TerminalSignals::kOn : TerminalSignals::kOff};
}

Result<StreamConfig> parse_file(Options& options, std::string id) {
  bool append = TRY(options.take_bool("append")).value_or(false);
  using Existing = StreamConfig::Existing;
  auto path = TRY(require(options, "path"));
  return StreamConfig{.id = std::move(id),
                      .kind = StreamConfig::Kind::kFile,
                      .path = std::move(path),
                      .existing = append ? Existing::kAppend : Existing::kTruncate};
}

Result<StreamConfig> parse_fd(Options& options, std::string id) {
  auto fd = TRY(require(options, "fd"));
  return StreamConfig{.id = std::move(id), .kind = StreamConfig::Kind::kFd, .fd = std::move(fd)};
}

Result<SocketConfig> parse_socket(Options& options, std::string id) {
  using Role = SocketConfig::Role;
  SocketConfig config{.id = std::move(id)};
  bool server = TRY(options.take_bool("server")).value_or(false);
  bool wait = TRY(options.take_bool("wait")).value_or(server);
  config.path = TRY(options.take_string("path")).value_or("");
  config.fd = TRY(options.take_string("fd")).value_or("");
  config.role = server ? Role::kListening : Role::kConnected;
  if (config.path.empty() == config.fd.empty()) {
    return fail("{}: exactly one of 'path' and 'fd' is required", options.context());
  }
  if (!config.path.empty() && !server) {
    return fail("{}: connecting to a socket is not supported; use server=on,wait=off", options.context());
  }
  if (wait) return fail("{}: waiting for a client is not supported; use wait=off", options.context());
  return config;
}

}  // namespace

Result<std::unique_ptr<Backend>> create_chardev(Options options, NamedFds& named_fds, event::Loop& loop) {
  auto kind = TRY(require(options, kImpliedKey));
  auto id = TRY(require(options, "id"));
  std::unique_ptr<Backend> backend;
  if (kind == "null") {
    backend = std::make_unique<NullBackend>(std::move(id));
  } else if (kind == "socket") {
    backend = std::make_unique<SocketBackend>(TRY(parse_socket(options, std::move(id))), named_fds, loop);
  } else if (kind == "stdio") {
    backend = std::make_unique<StreamBackend>(TRY(parse_stdio(options, std::move(id))), named_fds, loop);
  } else if (kind == "file") {
    backend = std::make_unique<StreamBackend>(TRY(parse_file(options, std::move(id))), named_fds, loop);
  } else if (kind == "fd") {
    backend = std::make_unique<StreamBackend>(TRY(parse_fd(options, std::move(id))), named_fds, loop);
  } else {
    return std::unexpected(Error(fmt::format("{}: there is no character back end '{}'", options.context(), kind))
                               .remedy("-chardev help lists them"));
  }
  TRY(options.finish());
  return backend;
}

Result<Options> expand_serial(std::string_view text, const std::string& id) {
  std::string expanded;
  if (text == "stdio" || text == "null") {
    expanded = fmt::format("{},id={}", text, id);
  } else if (text.starts_with("file:")) {
    // QEMU takes everything after the colon as the path, commas too.
    std::string path;
    for (char c : text.substr(5)) path += c == ',' ? ",," : std::string(1, c);
    expanded = fmt::format("file,id={},path={}", id, path);
  } else if (text.starts_with("unix:")) {
    expanded = fmt::format("socket,id={},path={}", id, text.substr(5));
  } else {
    return std::unexpected(Error(fmt::format("-serial: '{}' is not supported", text))
                               .remedy("use stdio, null, none, file:PATH, unix:PATH,server=on,wait=off or chardev:ID"));
  }
  return Options::parse(expanded, kImpliedKey, "-serial");
}

std::string chardev_help() {
  return "Available character back ends:\n"
         "  stdio,id=ID[,signal=on|off]\n"
         "  null,id=ID\n"
         "  file,id=ID,path=PATH[,append=on|off]\n"
         "  fd,id=ID,fd=N|NAME\n"
         "  socket,id=ID,path=PATH,server=on,wait=off\n"
         "  socket,id=ID,fd=N|NAME[,server=on,wait=off]\n";
}

}  // namespace pagurus::chardev
