// The messages of a stream one after the other, as far as their headers tell what they are: of any version
// and type, with a right checksum or a wrong one.
//
// Memory: no more than has arrived, and at most one message that this version knows; others are passed
// over.  Threads: one.
#pragma once

#include <optional>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "ctl/patience.h"
#include "wire/frame.h"

struct msghdr;

namespace pagurus::ctl {

struct Frame {
  uint64_t offset = 0;  // of the header, in the stream
  wire::Header header;
  bool known = false;  // this version knows how its body is declared
  bool checksum_right = false;
  std::vector<uint8_t> body;  // if it is known
  std::vector<UniqueFd> fds;  // those that came with it
};

class FrameReader {
 public:
  // A file, read from its present position, or a connected socket.
  static Result<FrameReader> create(UniqueFd fd, Patience patience);

  // nullopt: the stream has ended.  Fails if what follows is no message.
  Result<std::optional<Frame>> next();
  // It ended inside a message.
  bool truncated() const { return truncated_; }
  // Bytes read so far.
  uint64_t offset() const { return offset_; }
  int fd() const { return fd_.get(); }

 private:
  FrameReader(UniqueFd fd, bool socket, Patience patience) : fd_(std::move(fd)), socket_(socket), patience_(patience) {}
  // As much as there is, up to `size`; less only at the end of the stream.
  Result<size_t> read_up_to(uint8_t* buffer, size_t size, std::vector<UniqueFd>& fds);
  Result<size_t> read_some(uint8_t* buffer, size_t size, std::vector<UniqueFd>& fds);
  Result<size_t> receive_some(uint8_t* buffer, size_t size, std::vector<UniqueFd>& fds);
  Result<bool> read_body(Frame& frame);

  UniqueFd fd_;
  bool socket_;
  Patience patience_;
  uint64_t offset_ = 0;
  bool truncated_ = false;
  std::vector<uint8_t> chunk_ = std::vector<uint8_t>(64 * 1024);
};

}  // namespace pagurus::ctl
