// Sockets of the host: making connections, waiting for them, and looking at a socket that somebody else has made.
// Every socket made here is non-blocking and close-on-exec.
//
// Threads: any.  Resolving a host's name may wait for a name server, for many seconds; a numeric address never waits.
#pragma once

#include <netdb.h>
#include <sys/un.h>

#include <memory>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace pagurus {

struct HostPort {
  std::string host;  // empty: every address of this host, or this host
  std::string port;  // a number
};

Result<sockaddr_un> unix_address(const std::string& path);

using AddressInfo = std::unique_ptr<addrinfo, void (*)(addrinfo*)>;
// socket_type: SOCK_STREAM or SOCK_DGRAM; flags: AI_*.  At least one address.
Result<AddressInfo> resolve(const HostPort& address, int socket_type, int flags);

// The connection may be on its way when this returns: writable says that it is there, or has failed.
Result<UniqueFd> connect_tcp(const HostPort& address);
// The same for what resolve() has found for this address: never waits.
Result<UniqueFd> connect_tcp(const HostPort& address, const addrinfo& found);
// Fails at once if nobody waits at `path`; error: 0, or the errno of connect().
struct UnixConnection {
  UniqueFd socket;
  int error = 0;
};
Result<UnixConnection> connect_unix(const std::string& path);
// 0, or why a connection that was on its way has failed.
int connection_error(int socket);

Result<UniqueFd> listen_tcp(const HostPort& address);
// For a connection that was accepted: noticed when its peer vanishes, and nothing is held back.
void tune_tcp(int socket);

// What a descriptor that came from elsewhere is.
struct SocketKind {
  int family = 0;  // AF_*
  int type = 0;    // SOCK_*
  bool listening = false;
  bool connected = false;
};
// Fails for what is no socket.
Result<SocketKind> socket_kind(int fd);
// Of a stream socket, connected or listening.
Result<void> check_connection(int fd);
Result<void> check_listener(int fd);

}  // namespace pagurus
