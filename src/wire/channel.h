// The hand-over's channel: framed messages with descriptors over a UNIX stream socket.
//
// A frame is a header of 24 bytes, little-endian, and a body:
//
//   0  u32  magic "PGRS"
//   4  u16  protocol version
//   6  u16  message type
//   8  u32  body length, bytes
//   12 u32  number of descriptors
//   16 u32  CRC-32 (IEEE 802.3) of the body
//   20 u32  zero
//
// Descriptors ride on the body's bytes, at most kFdsPerCall with each sendmsg call.  The peer is
// the process at the other end, watched by its pidfd, so that its death is noticed at once.
//
// Threads: the control thread.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "wire/messages.h"

namespace pagurus::wire {

struct Message {
  MessageType type;
  std::vector<uint8_t> body;
  std::vector<UniqueFd> fds;

  // The body as the declared struct; every descriptor must be claimed by it.
  template <vmstate::Described T>
  Result<T> as() && {
    vmstate::Reader reader(body, std::move(fds));
    T value = TRY(vmstate::read_state<T>(reader));
    if (reader.unclaimed_fds() != 0)
      return fail("{} file descriptors arrived that nobody claims", reader.unclaimed_fds());
    return value;
  }
};

class Channel {
 public:
  // Connects to `path`.  A destination that is not waiting is an error that says so.
  static Result<Channel> connect(const std::string& path);
  // Takes over a connected socket.  Refuses a peer of another user (SO_PEERCRED).
  static Result<Channel> of_socket(UniqueFd socket);

  int fd() const { return socket_.get(); }
  int peer_pidfd() const { return pidfd_.get(); }
  pid_t peer_pid() const { return peer_pid_; }
  // Ends it for both sides; the peer reads an end of file after what was sent.
  void close();

  // Sends a whole message, waiting for the peer to read at most until `deadline_ns`
  // (CLOCK_MONOTONIC).
  template <vmstate::Described T>
  Result<void> send(MessageType type, const T& body, int64_t deadline_ns) {
    vmstate::Writer writer;
    vmstate::write_state(writer, body);
    return send_frame(type, writer, deadline_ns);
  }
  // Takes what has arrived, or a good part of it; a message if one is complete.  Fails if the peer
  // closed the channel or sent what is no message.  Never waits.
  Result<std::optional<Message>> try_receive();
  // Waits for a message, or for the peer's death, or for the deadline.
  Result<Message> receive(int64_t deadline_ns);

 private:
  Channel(UniqueFd socket, UniqueFd pidfd, pid_t pid)
      : socket_(std::move(socket)), pidfd_(std::move(pidfd)), peer_pid_(pid) {}
  Result<void> send_frame(MessageType type, const vmstate::Writer& writer, int64_t deadline_ns);
  Result<std::optional<Message>> take_complete_message();

  UniqueFd socket_;
  UniqueFd pidfd_;
  pid_t peer_pid_;
  std::vector<uint8_t> received_;
  // Where recvmsg puts bytes; made once, because a receive happens inside the pause.
  std::vector<uint8_t> scratch_ = std::vector<uint8_t>(256 * 1024);
  std::vector<UniqueFd> received_fds_;
};

}  // namespace pagurus::wire
