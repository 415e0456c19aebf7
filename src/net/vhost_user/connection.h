// A connection to a vhost-user back end: requests out, answers in.
//
// Whoever is at the other end is a stranger: every answer is checked for what it answers, its flags, its size and
// its descriptors, and none is waited for longer than a bounded time.  After a failure the two sides may be out of
// step: the connection is to be given up.
//
// O_NONBLOCK is never set: it belongs to the open file description, which the other process of a hand-over
// shares.
//
// Threads: one at a time.  The process must ignore SIGPIPE.
#pragma once

#include <chrono>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "net/vhost_user/message.h"

namespace pagurus::net::vhost_user {

using Bytes = std::vector<uint8_t>;

template <class T>
void append(Bytes& bytes, const T& value) {
  static_assert(std::is_trivially_copyable_v<T>);
  const auto* first = reinterpret_cast<const uint8_t*>(&value);
  bytes.insert(bytes.end(), first, first + sizeof value);
}
template <class T>
Bytes bytes_of(const T& value) {
  Bytes bytes;
  append(bytes, value);
  return bytes;
}

class Connection {
 public:
  struct Answer {
    Bytes payload;
    std::vector<UniqueFd> fds;
  };
  static constexpr std::chrono::milliseconds kPatience{5000};

  // socket: a UNIX stream socket.
  explicit Connection(UniqueFd socket, std::chrono::milliseconds patience = kPatience)
      : socket_(std::move(socket)), patience_(patience) {}

  int fd() const { return socket_.get(); }
  // The peer has agreed to acknowledge what has no answer of its own (REPLY_ACK).
  void expect_acknowledgements() { acknowledged_ = true; }

  // fds: lent.
  Result<void> tell(Request request, const Bytes& payload, std::span<const int> fds = {});
  // An answer of exactly `size` bytes with at most `most_fds` descriptors.
  Result<Answer> ask(Request request, const Bytes& payload, size_t size, size_t most_fds = 0);
  template <class T>
  Result<T> ask_for(Request request, const Bytes& payload = {}) {
    static_assert(std::is_trivially_copyable_v<T>);
    Answer answer = TRY(ask(request, payload, sizeof(T)));
    T value;
    std::memcpy(&value, answer.payload.data(), sizeof value);
    return value;
  }

 private:
  using Clock = std::chrono::steady_clock;
  Result<void> send(Request request, uint32_t flags, const Bytes& payload, std::span<const int> fds,
                    Clock::time_point deadline);
  Result<Answer> receive(Request request, size_t size, size_t most_fds, Clock::time_point deadline);
  Result<void> receive_exactly(std::span<uint8_t> to, std::vector<UniqueFd>& fds, Clock::time_point deadline);
  Result<void> wait(short events, Clock::time_point deadline);

  UniqueFd socket_;
  std::chrono::milliseconds patience_;
  bool acknowledged_ = false;
};

}  // namespace pagurus::net::vhost_user
