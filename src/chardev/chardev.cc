#include "chardev/chardev.h"

#include "chardev/null_backend.h"
#include "chardev/socket_backend.h"
#include "chardev/stream_backend.h"
#include "qapi/keyval.h"

namespace pagurus::chardev {
namespace {

StreamConfig stdio_config(const std::string& id, const schema::ChardevStdioOptions& options) {
  bool signals = options.signal.value_or(true);
  return {
      .id = id, .kind = StreamConfig::Kind::kStdio, .signals = signals ? TerminalSignals::kOn : TerminalSignals::kOff};
}

StreamConfig file_config(const std::string& id, const schema::ChardevFileOptions& options) {
  using Existing = StreamConfig::Existing;
  return {.id = id,
          .kind = StreamConfig::Kind::kFile,
          .path = options.path,
          .existing = options.append.value_or(false) ? Existing::kAppend : Existing::kTruncate};
}

Result<SocketConfig> socket_config(const std::string& id, const schema::ChardevSocketOptions& options) {
  using Role = SocketConfig::Role;
  bool server = options.server.value_or(false);
  std::string doing = fmt::format("character device '{}'", id);
  if (options.path.has_value() == options.fd.has_value()) {
    return fail("{}: exactly one of 'path' and 'fd' is required", doing);
  }
  if (options.path && !server) {
    return fail("{}: connecting to a socket is not supported; use server=on,wait=off", doing);
  }
  if (options.reconnect_ms.value_or(0) != 0) return fail("{}: reconnect-ms is for vhost-user alone", doing);
  if (options.wait.value_or(server)) return fail("{}: waiting for a client is not supported; use wait=off", doing);
  return SocketConfig{.id = id,
                      .role = server ? Role::kListening : Role::kConnected,
                      .path = options.path.value_or(""),
                      .fd = options.fd.value_or("")};
}

}  // namespace

Result<std::unique_ptr<Backend>> create_chardev(const schema::ChardevOptions& options, NamedFds& named_fds,
                                                event::Loop& loop) {
  using Kind = schema::ChardevBackendKind;
  const std::string& id = options.id;
  switch (options.backend()) {
    case Kind::kNull: return std::make_unique<NullBackend>(id);
    case Kind::kStdio: return std::make_unique<StreamBackend>(stdio_config(id, *options.as_stdio()), named_fds, loop);
    case Kind::kFile: return std::make_unique<StreamBackend>(file_config(id, *options.as_file()), named_fds, loop);
    case Kind::kFd: {
      StreamConfig config{.id = id, .kind = StreamConfig::Kind::kFd, .fd = options.as_fd()->fd};
      return std::make_unique<StreamBackend>(std::move(config), named_fds, loop);
    }
    case Kind::kSocket:
      return std::make_unique<SocketBackend>(TRY(socket_config(id, *options.as_socket())), named_fds, loop);
  }
  return fail("character device '{}' is of no known kind", id);
}

Result<schema::ChardevOptions> expand_address(std::string_view text, const std::string& id) {
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
    return std::unexpected(Error(fmt::format("'{}' is not supported", text))
                               .remedy("use stdio, null, file:PATH or unix:PATH,server=on,wait=off"));
  }
  return qapi::from_keyval<schema::ChardevOptions>(expanded);
}

}  // namespace pagurus::chardev
