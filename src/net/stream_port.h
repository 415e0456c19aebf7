// The frames of a stream socket: each behind its length, 32 bits in network byte order, as QEMU has it.
//
// A frame is read straight into the buffers of whoever asks.  What has come of a frame that is not whole yet is
// kept, and so is what the socket did not take of a frame that was sent: both are state and move (cut()).
// Of the next frame no more than the length is read ahead, so the socket is readable while there is one.
//
// Threads: as Port.  Whatever changes the connection belongs to the control thread, while the worker is held
// still.  flush() and broken() are the control thread's at any time; send_lock_ keeps them from transmit().
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "net/port.h"

namespace pagurus::net {

// 64 KiB and room for headers: QEMU's NET_BUFSIZE, what its peers may send.
inline constexpr size_t kMaxStreamFrame = 65536 + 4096;
inline constexpr size_t kStreamLengthBytes = 4;

// What is in flight when a connection moves.
struct StreamRemains {
  std::vector<uint8_t> received;  // of a frame that is not whole, its length first
  std::vector<uint8_t> unsent;    // the end of the last frame
  // Fails for what no sequence of frames leaves behind.
  Result<void> validate() const;
};

class StreamPort final : public Port {
 public:
  // attention: an eventfd, borrowed; signalled when the connection broke, or bytes wait for room in the socket.
  void set_attention(int attention) { attention_ = attention; }

  int fd() const override { return socket_.get(); }
  IoResult receive(std::span<const iovec> frame) override;
  IoResult transmit(std::span<const iovec> frame) override;
  PortFailure failure() override { return PortFailure::kConnectionOver; }

  void connect(UniqueFd socket, StreamRemains remains);
  void disconnect();
  // Notices what receive() would: that the peer has gone and has left nothing to read, or has begun what is no frame.
  void look();
  StreamRemains remains() const;

  // The peer is gone, or has sent what is no frame; then break_reason() says which.
  bool broken() const { return broken_.load(std::memory_order_acquire); }
  const std::string& break_reason() const { return break_reason_; }
  // Sends what waits; false if some of it still does.
  bool flush();

 private:
  struct Length {
    std::array<uint8_t, kStreamLengthBytes> bytes{};
    size_t have = 0;
    uint32_t value() const;
  };

  IoResult receive_direct(std::span<const iovec> frame, size_t length);
  IoResult receive_gathered(std::span<const iovec> frame, size_t length);
  void begin_next(size_t bytes);
  IoResult read_failed(ssize_t result);
  IoResult no_frame();
  IoResult break_off(std::string why);
  bool flush_locked();

  int attention_ = -1;
  UniqueFd socket_;
  std::atomic<bool> broken_{false};
  std::string break_reason_;  // written before broken_
  // The worker's.
  Length length_;
  Length next_;
  std::vector<uint8_t> body_;      // of a frame that came in pieces
  std::vector<uint8_t> overflow_;  // what the reader has no room for
  std::vector<iovec> parts_;
  mutable std::mutex send_lock_;
  std::vector<uint8_t> unsent_;  // guarded by send_lock_
  std::vector<iovec> sent_parts_;
};

}  // namespace pagurus::net
