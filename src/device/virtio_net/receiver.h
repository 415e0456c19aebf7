// Frames from the back end into the guest's receive buffers.
//
// A frame is read straight into guest memory.  Its length is not known before, so with mergeable
// buffers enough chains for the largest likely frame are gathered, and those it did not need are
// given back.  Behind the guest's buffers lies a spill buffer of ours: a frame that is longer than
// the room at hand is not cut but held until the driver offers enough (mergeable), or counted as
// dropped because it can never fit (not mergeable, or the whole ring is too small).  A frame that the
// driver does not want (rx_filter.h) is passed over, its buffers take the next one.
//
// Threads: the worker's.  Between two calls of run() no chain is in flight.
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "device/virtio_net/counters.h"
#include "device/virtio_net/rx_filter.h"
#include "net/port.h"
#include "virtio/queue.h"

namespace pagurus::device {

class Receiver {
 public:
  struct Mode {
    bool mergeable;
    bool backend_header;  // net::Backend::vnet_header()
    size_t header;        // the driver's, in bytes
    size_t likely_frame;  // the largest frame to gather chains for, header included
  };
  enum class Outcome {
    kIdle,     // the back end has nothing more
    kMore,     // the budget is used up
    kStarved,  // no room; the driver was asked to kick
    kFailed,   // the back end's host resource failed
  };

  Receiver(virtio::Queue& queue, net::Port& port, const RxFilter& filter, Mode mode, AtomicNetCounters& counters);

  // Moves up to `budget` frames and publishes them; then interrupt_wanted() says whether the driver
  // wants to know.
  virtio::RingResult<Outcome> run(unsigned budget);
  // In place of run(), for what has been read elsewhere (steering.h): puts a whole frame, the driver's header first,
  // into the ring; false: no room, and the driver was asked to kick.  publish() shows the driver what was put there.
  virtio::RingResult<bool> accept(std::span<const uint8_t> frame);
  void publish() { interrupt_ |= queue_.publish_used(); }
  // Reads up to `budget` frames and drops them: the link is down.
  Outcome discard(unsigned budget);
  // Reads and clears.
  bool take_interrupt() { return std::exchange(interrupt_, false); }

  const std::vector<uint8_t>& held_frame() const { return held_; }
  void hold(std::vector<uint8_t> frame) { held_ = std::move(frame); }

 private:
  virtio::RingResult<Outcome> move_frames(unsigned budget);
  virtio::RingResult<bool> gather(size_t bytes);
  virtio::RingResult<bool> deliver(std::span<const uint8_t> frame);
  net::IoResult read_frame();
  bool wanted(size_t bytes);
  void note_written(size_t bytes) const;
  void place(size_t bytes);
  void spill(size_t bytes);
  void give_back();
  virtio::DescriptorChain& chain(size_t index) { return chains_[(first_ + index) % chains_.size()]; }

  virtio::Queue& queue_;
  net::Port& port_;
  const RxFilter& filter_;
  Mode mode_;
  AtomicNetCounters& counters_;
  // The chains popped and not yet used, in order: a circular buffer as large as the queue.
  std::vector<virtio::DescriptorChain> chains_;
  size_t first_ = 0;
  size_t count_ = 0;
  size_t buffers_ = 0;  // iovecs of these chains
  size_t room_ = 0;     // bytes of these chains
  bool full_ = false;   // no chain can be added to these, whatever the driver offers
  std::vector<iovec> frame_;
  std::span<const iovec> incoming_;  // of frame_: where the last one was read to
  std::vector<uint8_t> spill_;
  std::vector<uint8_t> held_;
  bool interrupt_ = false;
};

}  // namespace pagurus::device
