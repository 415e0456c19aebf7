// One queue pair's worth of a network back end: frames in, frames out.
//
// Threads: the worker of that queue pair; while it is held still, the control thread.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <span>

namespace pagurus::net {

enum class IoStatus { kOk, kWouldBlock, kDropped };

struct IoResult {
  IoStatus status;
  size_t bytes;  // kOk: header included
};

// Why nothing comes from a port.
enum class PortFailure {
  kPassing,         // it is over already: go on
  kConnectionOver,  // the back end is about to change the connection, inside hold_still()
  kLasting,
};

class Port {
 public:
  virtual ~Port() = default;
  // To watch for EPOLLIN and EPOLLOUT; -1 while there is nothing to watch: pending, not connected, or a
  // pair that is not active.  Changes only inside BackendListener::hold_still() and Backend::set_active_pairs().
  virtual int fd() const = 0;
  // Reads one frame; what does not fit is cut.  kWouldBlock: there is no (whole) frame yet.  kDropped: the
  // host resource failed; nothing was read.
  virtual IoResult receive(std::span<const iovec> frame) = 0;
  // Writes one frame.  kWouldBlock: not taken, to be tried again when fd() is writable.  kDropped: the host
  // refused this frame; it is lost, as on a real wire.
  virtual IoResult transmit(std::span<const iovec> frame) = 0;
  // receive() said kDropped, or fd() is in error with nothing to read.
  virtual PortFailure failure() { return PortFailure::kLasting; }
};

}  // namespace pagurus::net
