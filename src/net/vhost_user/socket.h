// Where the connections of a vhost-user netdev come from: the UNIX socket of a character device, which the netdev
// has to itself, because descriptors travel on it.
//
//   server      listening: one peer at a time, others wait in the backlog
//   client      connecting, and again after reconnect-ms if that is given
//   connected   fd=: one connection, and none after it
//
// Threads: control thread.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>

#include "base/log.h"
#include "base/named_fds.h"
#include "base/unix_listener.h"
#include "event/loop.h"
#include "schema/char.h"

namespace pagurus::net::vhost_user {

struct SocketConfig {
  enum class Role { kServer, kClient, kConnected };
  std::string chardev;  // its id
  Role role = Role::kServer;
  std::string path;           // exclusive with fd
  std::string fd;             // number or name
  uint64_t reconnect_ms = 0;  // 0: never

  // Of the character device with this id.
  static Result<SocketConfig> from(const std::string& id, std::span<const schema::ChardevOptions> chardevs);
};

// A connected UNIX stream socket.
Result<void> check_socket(int fd);

// Whether the first connection may be waited for.
enum class Patience { kUntilConnected, kNone };

class Socket {
 public:
  using OnPeer = std::function<void(UniqueFd)>;
  Socket(SocketConfig config, NamedFds& named_fds, event::Loop& loop)
      : config_(std::move(config)), named_fds_(named_fds), loop_(loop) {}

  const SocketConfig& config() const { return config_; }
  // The first connection.
  Result<UniqueFd> open(Patience patience);
  // Calls back once, with the next connection, unless there will be none.
  void seek(OnPeer on_peer);
  void stop_seeking() { watch_ = event::Watch(); }

  // -1: no server.
  int listening_fd() const { return listener_ ? listener_->fd() : -1; }
  std::string path() const { return listener_ ? listener_->path() : ""; }
  Result<void> adopt(std::optional<UniqueFd> listener, std::string path);
  // The path is this process's now: after the commit.
  void take_path();
  void release();

 private:
  Result<UniqueFd> await_first();
  Result<UniqueFd> connect_until_there(Patience patience);
  void accept_one();
  void try_connect();

  SocketConfig config_;
  NamedFds& named_fds_;
  event::Loop& loop_;
  std::optional<UnixListener> listener_;
  std::string adopted_path_;
  OnPeer on_peer_;
  GuestFaults faults_;
  event::Watch watch_;  // for a client of ours, or the timer
};

}  // namespace pagurus::net::vhost_user
