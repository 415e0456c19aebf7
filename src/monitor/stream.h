// What a QMP client is connected by: a socket, a pair of pipes, a terminal.
//
// Never waits, without O_NONBLOCK: that flag belongs to the open file description, and a terminal's is
// shared with the shell.
//
// Threads: one at a time.
#pragma once

#include <sys/types.h>

#include <array>
#include <string_view>
#include <vector>

#include "base/unique_fd.h"

namespace pagurus::monitor {

struct Stream {
  struct Read {
    ssize_t size;  // as of read(), errno included
    std::vector<UniqueFd> fds;
  };

  UniqueFd input;
  UniqueFd output;  // empty: `input` is used both ways

  int output_fd() const { return output ? output.get() : input.get(); }
  // Some bytes, and the descriptors that came with them.
  Read read(std::array<char, 16384>& buffer) const;
  // As write(); EAGAIN if it would have to wait.
  ssize_t write(std::string_view bytes) const;
};

}  // namespace pagurus::monitor
