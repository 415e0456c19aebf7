// Where a migration goes to or comes from: the URI of `migrate` and `migrate-incoming`.
//
//   unix:PATH        a process of this host; the only one over which descriptors travel
//   tcp:HOST:PORT    a process anywhere; [HOST] for an IPv6 address
//   file:PATH        a file, to be loaded later
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "base/socket.h"
#include "base/unique_fd.h"
#include "base/unix_listener.h"
#include "wire/channel.h"

namespace pagurus::migration {

struct Address {
  enum class Kind { kUnix, kTcp, kFile };
  Kind kind = Kind::kUnix;
  std::string path;  // kUnix, kFile
  HostPort tcp;      // kTcp

  // Fails with a sentence that lists what there is.
  static Result<Address> parse(const std::string& uri);
};

// The source's end.  A UNIX socket on which nobody waits is an error that says so; a TCP connection is
// on its way when this returns.  A file is made, with mode 0600, or emptied.
Result<wire::Channel> connect(const Address& address);
// The destination's end of a file.
Result<wire::Channel> open_file(const Address& address);

// Waits for one source after the other.
class Listener {
 public:
  // kUnix: the path is made with mode 0600.  kTcp: the port must be free.
  static Result<Listener> bind(const Address& address);
  // To watch for EPOLLIN.
  int fd() const { return unix_ ? unix_->fd() : tcp_.get(); }
  // The next source; nothing if nobody waits.  Never waits.
  Result<std::optional<wire::Channel>> accept() const;

 private:
  std::optional<UnixListener> unix_;
  UniqueFd tcp_;
};

}  // namespace pagurus::migration
