// Frames from the back end to the queue pair that their hash selects (rss.h), in place of Receiver::run(), for a
// driver that has negotiated VIRTIO_NET_F_RSS or VIRTIO_NET_F_HASH_REPORT.
//
// Each pair's worker goes on reading its own port; but a frame is read into a buffer of ours and then laid into the
// ring of another pair, or of this one.  So the frames of a flow, which come by one port, stay in order.  One for
// which there is no room waits here, and the frames behind it with it.
//
// Threads: the worker's.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "device/virtio_net/counters.h"
#include "device/virtio_net/receiver.h"
#include "device/virtio_net/rss.h"
#include "device/virtio_net/rx_filter.h"
#include "device/virtio_net/state.h"
#include "net/port.h"

namespace pagurus::device {

class Steering {
 public:
  // virtio_net_hdr_v1 with the hash (virtio 1.2, 5.1.6).
  static constexpr size_t kHashHeaderBytes = 20;

  struct Parts {
    unsigned reader;  // the pair of the port
    net::Port& port;
    const RxFilter& filter;
    const Rss& rss;
    bool backend_header;  // net::Backend::vnet_header()
    bool reports_hash;    // the driver's header is the longer one
    AtomicNetCounters& counters;
    // Lays a frame, the driver's header first, into the ring of a pair; false: no room, run() is to be called again
    // when there is.
    std::function<virtio::RingResult<bool>(unsigned pair, std::span<const uint8_t> frame)> deliver;
  };
  explicit Steering(Parts parts) : parts_(std::move(parts)), buffer_(kHashHeaderBytes + kMaxNetFrame) {}

  virtio::RingResult<Receiver::Outcome> run(unsigned budget);

  // As Receiver's: with the header that the back end has.
  std::vector<uint8_t> held_frame() const;
  void hold(const std::vector<uint8_t>& frame);

 private:
  // What can be held and moves; the buffer has room for a little more, so that a longer one is noticed.
  static constexpr size_t kMaxBody = kMaxNetFrame - kNetHeaderBytes;

  net::IoResult read_frame();
  bool wanted() const;
  virtio::RingResult<bool> deliver();
  std::span<const uint8_t> frame() const { return std::span(buffer_).subspan(kHashHeaderBytes, size_); }

  Parts parts_;
  std::array<uint8_t, kNetHeaderBytes> header_{};  // of the frame
  std::vector<uint8_t> buffer_;                    // room for the driver's header, then the frame
  size_t size_ = 0;                                // of the frame; 0: there is none
};

}  // namespace pagurus::device
