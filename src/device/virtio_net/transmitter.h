// Frames from the guest's transmit queue to the back end.
//
// A frame that the back end cannot take now goes back to the ring and is tried again; one that the
// host refuses is lost, as on a real wire, and counted.
//
// Threads: the worker's.  Between two calls of run() no chain is in flight.
#pragma once

#include <sys/uio.h>

#include <array>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "device/virtio_net/counters.h"
#include "device/virtio_net/state.h"
#include "net/port.h"
#include "virtio/queue.h"

namespace pagurus::device {

class Transmitter {
 public:
  enum class Outcome {
    kIdle,     // the ring is empty; the driver was asked to kick
    kMore,     // the budget is used up
    kBlocked,  // the back end takes nothing now
  };
  enum class Link { kUp, kDown };

  // What the back end wants in front of a frame (net::Backend::vnet_header()).
  enum class Header { kNone, kVirtioNet };

  // driver_header: what the driver puts in front of a frame, in bytes; the back end's is the first part of it.
  Transmitter(virtio::Queue& queue, net::Port& port, Header header, size_t driver_header, AtomicNetCounters& counters)
      : queue_(queue), port_(port), header_(header), driver_header_(driver_header), counters_(counters) {}

  // Sends up to `budget` frames (drops them if the link is down) and publishes their buffers.
  virtio::RingResult<Outcome> run(unsigned budget, Link link);
  // Whether the driver wants an interrupt; reads and clears.
  bool take_interrupt() { return std::exchange(interrupt_, false); }

 private:
  virtio::RingResult<Outcome> move_frames(unsigned budget, Link link);
  net::IoStatus send(virtio::DescriptorChain& chain);
  std::span<const iovec> frame_of(virtio::DescriptorChain& chain);

  virtio::Queue& queue_;
  net::Port& port_;
  Header header_;
  size_t driver_header_;
  AtomicNetCounters& counters_;
  virtio::DescriptorChain chain_;
  std::array<uint8_t, kNetHeaderBytes> short_header_{};  // of a frame with a longer one
  std::vector<iovec> parts_;                             // it, and the frame
  bool interrupt_ = false;
};

}  // namespace pagurus::device
