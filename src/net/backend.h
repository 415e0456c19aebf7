// The network back end as a front end sees it: frames in, frames out, offloads, and one formal
// interface (vmstate::Movable) for moving it to another process.  A front end never asks which kind
// of back end it has.
//
// States:  pending ──open() or adopt()──▶ frozen ──thaw()──▶ in use ──freeze()──▶ frozen
// A back end created for an incoming guest stays pending until the hand-over has settled whether it
// is transferred (adopt) or not (open).
//
// Threads: receive() and transmit() belong to the queue's worker, everything else to the control
// thread, while the workers are frozen (set_offloads: see there).
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "vmstate/section.h"

namespace pagurus::net {

// What the back end accepts in, or may put into, a frame's virtio_net_hdr (virtio 1.2, 5.1.6).
struct Offloads {
  bool csum = false;
  bool tso4 = false;
  bool tso6 = false;
  bool ecn = false;
  bool ufo = false;
  bool uso4 = false;
  bool uso6 = false;
  bool operator==(const Offloads&) const = default;
};

enum class IoStatus { kOk, kWouldBlock, kDropped };

struct IoResult {
  IoStatus status;
  size_t bytes;  // kOk: header included
};

class Backend : public vmstate::Movable {
 public:
  // The value of `id=`.
  virtual const std::string& id() const = 0;
  // QEMU's type name: "tap".
  virtual std::string_view kind() const = 0;
  // The command line says that it will arrive with the incoming guest (local-incoming=on).
  virtual bool announced() const = 0;

  // Opens the host resource as the command line says.  Only while pending; leaves it frozen.
  virtual Result<void> open() = 0;

  // Every frame begins with a 12-byte virtio_net_hdr_v1 that the host understands.  If false, the
  // front end puts and ignores nothing: frames are bare, and no offload may be offered.
  virtual bool vnet_header() const = 0;
  // What the host can do at all; constant after open() or adopt().
  virtual Offloads offloads() const = 0;
  // What the guest agreed to receive.  Called by the running guest's side only (a driver that
  // negotiates), on whichever thread handles the register write.
  virtual Result<void> set_offloads(const Offloads& offloads) = 0;

  // To watch for EPOLLIN; -1 while pending.
  virtual int receive_fd() const = 0;
  // Reads one frame.  kDropped: the host resource failed; nothing was read.
  virtual IoResult receive(std::span<const iovec> frame) = 0;
  // Writes one frame.  kDropped: the host refused this frame; it is lost, as on a real wire.
  virtual IoResult transmit(std::span<const iovec> frame) = 0;
};

}  // namespace pagurus::net
