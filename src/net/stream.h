// -netdev stream: frames over a connected stream socket, UNIX or TCP, as QEMU's back end of that name.
//
//   server                          client
//   listening ◀──────┐              connecting ──▶ connected
//     │ accept       │ peer gone      ▲  │ refused     │ peer gone
//     └─▶ connected ─┘                │  ▼             ▼
//                                     waiting (reconnect-ms) ... or alone for good
//
// One peer at a time; others wait in the backlog.  While nobody is connected, what the guest sends is dropped.
// The connection and the listening socket move with the guest; whoever is connected notices nothing.  What is
// not a connection yet does not move: the destination begins again.
//
// A client looks up the host's name once, when it is made: before the guest runs here, and on a destination before the
// hand-over begins.  It tries that address ever after.
//
// A peer that breaks off, or sends what is no frame, is noticed by the worker, which tells the control thread
// through attention_; only that one changes connections, while the worker is held still.
//
// Threads: see Backend; connected() on any.
#pragma once

#include <atomic>
#include <optional>
#include <string>

#include "base/log.h"
#include "base/socket.h"
#include "base/unix_listener.h"
#include "net/netdev.h"
#include "net/stream_port.h"

namespace pagurus::net {

struct StreamState;

struct StreamConfig {
  std::string id;
  schema::SocketAddress addr;
  bool server = false;
  uint64_t reconnect_ms = 0;  // 0: never

  // Refuses what contradicts itself.
  static Result<StreamConfig> from(const std::string& id, const schema::NetdevStreamOptions& options);
};

class Stream final : public Backend {
 public:
  // The back end is pending.  Waits for a name server if a client's addr.host is a name.
  static Result<std::unique_ptr<Stream>> create(StreamConfig config, const NetdevParts& parts);

  const std::string& id() const override { return config_.id; }
  std::string_view kind() const override { return "stream"; }
  bool announced() const override { return false; }
  bool pending() const override { return !attention_; }
  Result<void> open() override;

  bool vnet_header() const override { return false; }
  Offloads offloads() const override { return {}; }
  Result<void> set_offloads(const Offloads&) override { return {}; }
  unsigned queue_pairs() const override { return 1; }
  Result<void> set_active_pairs(unsigned) override { return {}; }
  Port& port(unsigned) override { return port_; }
  bool connected() const override { return connected_; }
  void set_listener(BackendListener* listener) override { listener_ = listener; }

  Result<const vmstate::Description*> movable() const override;
  void freeze() override;
  Result<void> save(vmstate::Writer& writer) const override;
  Result<void> adopt(vmstate::Reader& reader) override;
  void thaw() override;
  void release() override;

 private:
  Stream(StreamConfig config, const NetdevParts& parts, AddressInfo host)
      : config_(std::move(config)), parts_(parts), host_(std::move(host)) {}

  Result<void> open_socket();
  Result<void> open_server();
  Result<void> take_state(StreamState& state);
  Result<void> check_family(int fd) const;
  int listening_fd() const { return path_listener_ ? path_listener_->fd() : listener_fd_.get(); }

  // While in use and alone: waits for somebody, or tries to connect.
  void seek();
  void accept_one();
  // Fails if there is no hope of an answer; nothing: it is on its way, connecting_ is set.
  Result<void> begin_connect();
  void finish_connect();
  void connect_failed(const std::string& why);
  void retry_later();
  void stop_seeking();

  void attend();
  void flush();
  void peer_arrived(UniqueFd socket);
  void peer_gone();
  // Changes the connection while no worker is in the port.
  void exchange(UniqueFd socket);
  void warn(const std::string& what);

  StreamConfig config_;
  NetdevParts parts_;
  AddressInfo host_;  // of a client, of addr.type=inet
  BackendListener* listener_ = nullptr;

  UniqueFd attention_;  // not there: pending
  StreamPort port_;
  std::atomic<bool> connected_{false};
  bool in_use_ = false;
  bool wanted_ = false;  // a client that is alone is to try to connect
  std::optional<UnixListener> path_listener_;
  UniqueFd listener_fd_;
  std::string adopted_path_;  // ours with the first thaw()
  UniqueFd connecting_;
  GuestFaults faults_;  // of peers, who are as free to fill the log as a guest
  event::Watch attention_watch_;
  event::Watch flush_watch_;
  event::Watch seek_watch_;  // for a client of ours, for the end of connecting_, or the timer
};

}  // namespace pagurus::net
