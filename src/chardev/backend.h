// The character back end as a front end sees it: bytes out, bytes in, and one formal interface
// (vmstate::Movable) for moving it to another process.  A front end never asks which kind it has.
//
// States:  pending ──open() or adopt()──▶ frozen ──thaw()──▶ in use ──freeze()──▶ frozen
// Frozen: nothing is read, write() accepts nothing.
//
// No byte is ever held in here: write() says how many bytes the host took, the rest stays with the
// front end (and in its saved state); a byte is read only when the front end has room for it.  So
// nothing is lost or doubled by a hand-over.  A machine freezes the back end before it saves the
// front end.
//
// O_NONBLOCK is never set: it belongs to the open file description, which the person's shell and the
// other process of a hand-over share.  Every call asks the kernel first whether it would block.
//
// Threads: write() and want_input() from any thread, one caller at a time each; everything else on
// the control thread.  Front-end callbacks come on the control thread with no lock held.
// The process must ignore SIGPIPE.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "vmstate/section.h"

namespace pagurus::chardev {

class Frontend {
 public:
  virtual ~Frontend() = default;
  // Bytes receive() would take now.  0: the back end stops reading until want_input().
  virtual size_t can_receive() = 0;
  // bytes.size() is at most what can_receive() just said.
  virtual void receive(std::span<const uint8_t> bytes) = 0;
  // After a write() that was not accepted whole, and after thaw(): try again.
  virtual void writable() = 0;
};

class Backend : public vmstate::Movable {
 public:
  // The value of `id=`.
  virtual const std::string& id() const = 0;
  // QEMU's type name: "stdio", "file", "null", "socket".
  virtual std::string_view kind() const = 0;

  virtual bool pending() const = 0;
  // Opens the host resource as the command line says.  Only while pending; leaves it frozen.
  virtual Result<void> open() = 0;

  // At most one, before thaw(); outlives the back end or is detached with null.
  virtual void attach(Frontend* frontend) = 0;
  // The number of bytes taken; fewer than given means Frontend::writable() will follow.  Never
  // waits.  With nobody at the other end (no client, a closed pipe) bytes vanish, as on a real line.
  virtual size_t write(std::span<const uint8_t> bytes) = 0;
  // can_receive() may be larger than 0 again.
  virtual void want_input() = 0;
};

}  // namespace pagurus::chardev
