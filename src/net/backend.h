// The network back end as a front end sees it: frames in, frames out, offloads, and one formal
// interface (vmstate::Movable) for moving it to another process.  A front end never asks which kind
// of back end it has.
//
// States of one back end in one process:
//
//             open()                  thaw()
//   pending ──────────────▶ frozen ◀──────────▶ in use
//      │                     ▲  │    freeze()      │
//      │ adopt()             │  │ release()        │ save_early()   source, before the pause
//      └─────────────────────┘  ▼                  ▼
//                             gone              in use
//
// A back end created for an incoming guest stays pending until the hand-over has settled whether it
// is transferred (adopt) or not (open).
//
// What each call owes to a guest that must not notice, whoever fails (the calls that are not here are
// vmstate::Movable's):
//
//   call             source                                     destination
//   ---------------  -----------------------------------------  ------------------------------------------
//   movable()        before STOP, and for                       before PREPARE is answered; both must
//                    query-backend-transfer-support: an error   agree on name and version of the state
//                    names what does not move and why
//   save_early()     in use; lends descriptors, changes         -
//                    nothing
//   adopt_early()    -                                          pending; gets ready what may take time.
//                                                               May be followed by anything: adopt(),
//                                                               open(), the end
//   freeze()         cannot fail, does not wait for a peer;     - (frozen already)
//                    no frame is half taken or half given
//   save()           frozen; an error rolls back: thaw()        -
//   adopt()          -                                          pending; takes the descriptors over and
//                                                               checks what they are.  Changes nothing
//                                                               behind them.  An error: pending again,
//                                                               the source rolls back
//   thaw()           roll-back: as if nothing had been;         after the commit; the first moment that
//                    frames that came meanwhile are there       it may change what is behind descriptors
//   release()        after the commit: gives up descriptors,    -
//                    and touches nothing behind them
//   destructor       after release(), or of a back end that     after a failure, in any state: the source
//                    never moved: cleans up (script, path)      still has it, so nothing is cleaned up
//
// A frame that was taken from the wire and not yet given to the guest, or the reverse, is state.
// net/testing/backend_conformance.h has these promises as tests, for every implementation.
//
// A back end has one port for each queue pair; those that are active (set_active_pairs()) carry frames.  Or it serves
// the device's rings itself (ring_server.h); then the front end moves no frames, unless the machine wants it
// to, and the back end has ports as well.
//
// Threads: ports belong to the queue pairs' workers, everything else to the control thread, while the
// workers are held still (set_offloads, set_active_pairs: see there).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "memory/guest_memory.h"
#include "net/port.h"
#include "net/ring_server.h"
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

inline constexpr unsigned kMaxQueuePairs = 16;

// The front end as its back end sees it.  Control thread.
class BackendListener {
 public:
  virtual ~BackendListener() = default;
  // Runs `change` while no worker is in a port and no port is watched: the back end may exchange its ports'
  // descriptors in there.
  virtual void hold_still(const std::function<void()>& change) = 0;
  // connected() has changed.  Not from inside hold_still().
  virtual void connection_changed() = 0;
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

  // 1..kMaxQueuePairs; constant.
  virtual unsigned queue_pairs() const = 0;
  // The driver uses the first `pairs` queue pairs from now on, at least one.  As set_offloads(), by the running
  // guest's side only.
  virtual Result<void> set_active_pairs(unsigned pairs) = 0;
  // pair: below queue_pairs().
  virtual Port& port(unsigned pair) = 0;
  // nullptr: the front end serves the rings and moves the frames through the ports.
  virtual RingServer* ring_server() { return nullptr; }

  // Whether there is somebody at the other end of the wire; the guest is told.
  virtual bool connected() const { return true; }
  // Called once, before the back end is opened or adopted; outlives it, or nullptr.
  virtual void set_listener(BackendListener*) {}
  // The guest's RAM is there: before the guest runs, on a destination before the pause.  Outlives this.
  virtual Result<void> ram_ready(const memory::GuestMemory&) { return {}; }
};

}  // namespace pagurus::net
