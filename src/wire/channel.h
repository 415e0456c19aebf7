// The channel of a migration: messages, each in its frame (wire/frame.h), over a UNIX or TCP stream
// socket, or in a file.
//
//             answers come back   descriptors travel   the peer's death is noticed by
//   kUnix     yes                 yes                   its pidfd, and the closed socket
//   kTcp      yes                 no                    the closed or unresponsive connection
//   kFile     no                  no                    -
//
// Descriptors ride on a message's bytes, at most kFdsPerCall with each sendmsg call.
//
// Nothing here waits (but for the disk behind a file): what does not fit into the socket is queued,
// and flush() is called again when the socket can be written.
//
// Threads: the control thread.
#pragma once

#include <sys/socket.h>
#include <sys/types.h>

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "wire/frame.h"
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
  // Takes over a connected UNIX socket.  Refuses a peer that runs neither as this process's user nor as
  // root (SO_PEERCRED), and opens its pidfd.
  static Result<Channel> of_unix(UniqueFd socket);
  // Takes over a TCP socket, connected or on its way.
  static Channel of_tcp(UniqueFd socket);
  // Messages one after the other in a file, which is read or written from its present position.
  static Channel of_file(UniqueFd file);

  bool passes_fds() const { return kind_ == Kind::kUnix; }
  bool answers() const { return kind_ != Kind::kFile; }
  int fd() const { return fd_.get(); }
  // -1 where there is none.
  int peer_pidfd() const { return pidfd_.get(); }
  pid_t peer_pid() const { return peer_pid_; }
  UniqueFd take_peer_pidfd() { return std::move(pidfd_); }
  // Ends it for both sides; the peer reads an end of file after what was sent.  What is queued is lost.
  void close();
  // What has arrived can still be received, and nothing more arrives.
  void stop_receiving();
  // Both directions end as if the connection had broken; what was sent still arrives.
  void break_now();
  // Of the next message queued half is sent; then break_now().
  void break_in_next_message() { break_in_next_ = true; }

  // Queues a whole message.  Its descriptors are borrowed until it has left.
  template <vmstate::Described T>
  void enqueue(MessageType type, const T& body) {
    vmstate::Writer writer;
    vmstate::write_state(writer, body);
    enqueue_frame(type, writer);
  }
  // Sends what can be sent without waiting.  After a failure nothing leaves any more.
  Result<void> flush();
  bool drained() const { return queue_.empty(); }
  // Bytes that have left since the beginning.
  uint64_t sent_bytes() const { return sent_bytes_; }

  // Takes what has arrived, or a good part of it; a message if one is complete.  Fails if the peer
  // closed the channel or sent what is no message.
  Result<std::optional<Message>> try_receive();

 private:
  enum class Kind { kUnix, kTcp, kFile };
  struct Outgoing {
    std::vector<uint8_t> bytes;
    std::vector<int> fds;
    size_t sent = 0;
    size_t fds_sent = 0;
    bool breaks = false;  // it is the half of one
  };

  Channel(Kind kind, UniqueFd fd) : kind_(kind), fd_(std::move(fd)) {}
  void enqueue_frame(MessageType type, const vmstate::Writer& writer);
  Result<bool> send_some(Outgoing& message);
  Result<bool> receive_some();
  void keep_fds(msghdr& message);
  Result<std::optional<Message>> take_complete_message();

  Kind kind_;
  UniqueFd fd_;
  UniqueFd pidfd_;
  pid_t peer_pid_ = 0;
  std::deque<Outgoing> queue_;
  uint64_t sent_bytes_ = 0;
  bool break_in_next_ = false;
  std::vector<uint8_t> received_;
  // Bytes of received_ that messages have been made of: removed by the next receive, not by each message.
  size_t taken_ = 0;
  // Where received bytes are put first; made once, because a receive happens inside the pause.
  std::vector<uint8_t> scratch_ = std::vector<uint8_t>(256 * 1024);
  std::vector<UniqueFd> received_fds_;
};

}  // namespace pagurus::wire
