// A back end that serves a device's rings by itself (vhost): the front end gives it the rings instead of
// moving frames.
//
//            start()              resume()
//   idle ─────────────▶ set up ◀───────────▶ serving         (resume() and pause() do nothing when idle)
//     ▲                   │       pause()
//     └──────stop()───────┘
//
// start() says where the rings are and how far they have come; nothing is served before resume().  In a
// hand-over, the destination's start() comes twice, for the rehearsal while the back end may still be
// pending and for the real state, and does only what differs; what it cannot do yet it does in resume(),
// which is called when the guest runs already.  After pause() the positions of the rings are known, unless it is
// for a hand-over and the server is another process that goes on unaware of that; then position() is empty and
// the server knows it itself.  Such a server is stopped by a later pause() for another reason, of the process that
// has the guest then, also without a resume() before.
//
// Threads: the control thread and vCPU threads, one at a time (the front end's lock sees to that).
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "base/result.h"
#include "base/unique_fd.h"
#include "memory/guest_memory.h"

namespace pagurus::net {

// How far a ring has come, as virtio::QueuePosition has it; of a packed ring bit 15 is the wrap counter.
struct RingPosition {
  uint16_t avail = 0;
  uint16_t used = 0;
  bool operator==(const RingPosition&) const = default;
};

// One virtqueue as its driver has set it up, checked by the front end: aligned, and all in RAM.
struct Ring {
  unsigned queue;  // the device's: 2k receives, 2k+1 transmits for queue pair k
  uint16_t size;
  memory::GuestAddress descriptors;  // packed: the ring
  memory::GuestAddress driver;       // available ring; packed: the driver's event suppression
  memory::GuestAddress device;       // used ring; packed: the device's
  RingPosition position;
  int kick_fd;   // eventfds, borrowed until stop(): the server waits for this one
  int call_fd;   // and signals this one
  int error_fd;  // and this one when it gives the ring up, as the driver has broken it
};

// How far whoever serves a split ring has told the driver to have come (virtio 1.2, 2.7.8).  The ring lies in RAM.
uint16_t used_index(const memory::GuestMemory& memory, const Ring& ring);

enum class RingOrigin {
  kDriver,    // the driver has just set DRIVER_OK
  kRestored,  // a saved state was loaded
};

// The feature bits that are the business of whoever serves the rings: VIRTIO_NET_F_MRG_RXBUF (15),
// VIRTIO_F_INDIRECT_DESC (28), VIRTIO_F_EVENT_IDX (29), VIRTIO_F_VERSION_1 (32), VIRTIO_F_RING_PACKED (34) and
// VIRTIO_F_IN_ORDER (35).
constexpr uint64_t ring_features_mask() {
  uint64_t mask = 0;
  for (unsigned bit : {15, 28, 29, 32, 34, 35}) mask |= uint64_t{1} << bit;
  return mask;
}

enum class PauseReason {
  kStop,      // nothing is touched any more
  kHandover,  // a server in another process goes on unaware
};

class RingServer {
 public:
  virtual ~RingServer() = default;

  // Which of the virtio feature bits that matter to whoever serves the rings it can (VIRTIO_F_*,
  // VIRTIO_NET_F_*); bits outside ring_features_mask() are the front end's business.  Constant once open; all
  // ones before.
  virtual uint64_t ring_features() const = 0;

  // features: all that the driver has accepted.
  virtual Result<void> start(std::span<const Ring> rings, uint64_t features, RingOrigin origin) = 0;
  virtual Result<void> resume() = 0;
  virtual void pause(PauseReason reason) = 0;
  virtual void stop() = 0;
  // Of a ring that was started; while paused.
  virtual std::optional<RingPosition> position(unsigned queue) const = 0;

  // While RAM is copied under the running guest, the server notes what it writes there: from start_log() on, and
  // collect_log() tells the memory (GuestMemory::note_written) what has come since.  Started and stopped while
  // paused; collected on the control thread, at any time between.  stop_log() is idempotent.
  // can_log(): an error says why it cannot.
  virtual Result<void> can_log() const { return fail("what serves its rings does not tell what it writes to RAM"); }
  virtual Result<void> start_log() { return can_log(); }
  virtual void collect_log() {}
  virtual void stop_log() {}

  // The eventfd that a server in another process already listens to for this queue, of a back end whose
  // early state was adopted: the front end uses it in place of its own.  Empty: it brings its own.
  virtual UniqueFd take_kick(unsigned queue) = 0;
  virtual UniqueFd take_call(unsigned queue) = 0;
};

}  // namespace pagurus::net
