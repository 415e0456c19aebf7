// A wire::Channel on the control loop: messages come in by callback, and what cannot leave at once
// leaves later.
//
// A callback may close() the connection; it must not destroy it.  After on_lost nothing is called any
// more.  Before a peer's death or a closed socket is told, everything that arrived has been delivered.
//
// Threads: the control thread.
#pragma once

#include <functional>
#include <memory>

#include "event/loop.h"
#include "wire/channel.h"

namespace pagurus::migration {

class Connection {
 public:
  struct Callbacks {
    std::function<void(wire::Message, int64_t received_ns)> on_message;
    // The channel broke, carried what is no message, or the peer died.
    std::function<void(const Error&)> on_lost;
    // Everything that was sent has left this process, after it could not at once.
    std::function<void()> on_drained;
  };
  // peer: "the destination", for messages.
  static Result<std::unique_ptr<Connection>> create(event::Loop& loop, wire::Channel channel, std::string peer,
                                                    Callbacks callbacks);

  // Sends as much as can be sent at once; the rest follows.
  template <vmstate::Described T>
  Result<void> send(wire::MessageType type, const T& body) {
    channel_.enqueue(type, body);
    return flush();
  }
  // Delivers the messages of a file, one with each turn of the loop from the next one on, until close().
  Result<void> read_file();
  // Delivers what has arrived; if that does not close it, the connection is lost for that reason.  Nothing
  // can arrive in between.
  void give_up(const Error& why);
  // Of everything sent so far.
  bool drained() const { return channel_.drained(); }
  uint64_t sent_bytes() const { return channel_.sent_bytes(); }
  // The next message, if it has arrived already.
  Result<std::optional<wire::Message>> try_receive() { return channel_.try_receive(); }
  void close();
  // The same once what was sent has left, or the peer has not read it for a second; nothing is called back
  // any more.
  void close_when_drained();
  // For faults on purpose (migration/fault.h): the channel breaks, now or in the middle of the next message.
  void break_now() { channel_.break_now(); }
  void break_in_next_message() { channel_.break_in_next_message(); }
  // Closes the channel and goes on watching the process at its other end, if that is on this host.
  void close_and_watch(std::function<void()> on_death);
  bool open() const { return open_; }

  bool passes_fds() const { return channel_.passes_fds(); }
  bool answers() const { return channel_.answers(); }
  pid_t peer_pid() const { return channel_.peer_pid(); }
  int fd() const { return channel_.fd(); }

 private:
  Connection(event::Loop& loop, wire::Channel channel, std::string peer, Callbacks callbacks)
      : loop_(loop), channel_(std::move(channel)), peer_(std::move(peer)), callbacks_(std::move(callbacks)) {}
  Result<void> start();
  Result<void> flush();
  void on_ready(uint32_t events);
  void read_next();
  void deliver();
  void on_death();
  void lose(const Error& why);

  event::Loop& loop_;
  wire::Channel channel_;
  std::string peer_;
  Callbacks callbacks_;
  bool open_ = true;
  bool closing_ = false;
  bool waits_to_write_ = false;
  UniqueFd watched_;  // the peer, after close_and_watch()
  event::Watch socket_watch_;
  event::Watch death_watch_;
  event::Watch next_read_;  // of a file, which no loop can watch, or of what has arrived and waits for its turn
  event::Watch patience_;   // while closing
};

}  // namespace pagurus::migration
