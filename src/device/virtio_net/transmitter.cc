#include "device/virtio_net/transmitter.h"

#include "virtio/iovec.h"

namespace pagurus::device {

virtio::RingResult<Transmitter::Outcome> Transmitter::run(unsigned budget, Link link) {
  queue_.disable_kicks();
  auto outcome = move_frames(budget, link);
  if (queue_.publish_used()) interrupt_ = true;
  return outcome;
}

virtio::RingResult<Transmitter::Outcome> Transmitter::move_frames(unsigned budget, Link link) {
  for (unsigned moved = 0; moved < budget; ++moved) {
    bool popped = TRY(queue_.pop_or_enable_kicks(chain_));
    if (!popped) return Outcome::kIdle;
    net::IoStatus status = link == Link::kUp ? send(chain_) : net::IoStatus::kDropped;
    if (status == net::IoStatus::kWouldBlock) {
      queue_.unpop(chain_);
      return Outcome::kBlocked;
    }
    if (status == net::IoStatus::kDropped) counters_.tx_dropped.fetch_add(1, std::memory_order_relaxed);
    queue_.push_used(chain_, 0);
  }
  return Outcome::kMore;
}

net::IoStatus Transmitter::send(virtio::DescriptorChain& chain) {
  uint64_t bytes = chain.readable_bytes();
  // No driver sends such a frame, and the host need not be asked to allocate for it.
  if (bytes <= driver_header_ || bytes - driver_header_ > kMaxNetFrame - kNetHeaderBytes)
    return net::IoStatus::kDropped;
  net::IoResult result = port_.transmit(frame_of(chain));
  if (result.status == net::IoStatus::kOk) {
    counters_.tx_packets.fetch_add(1, std::memory_order_relaxed);
    counters_.tx_bytes.fetch_add(bytes - driver_header_, std::memory_order_relaxed);
  }
  return result.status;
}

// As the back end wants it.
std::span<const iovec> Transmitter::frame_of(virtio::DescriptorChain& chain) {
  if (header_ == Header::kNone) return virtio::skip_front(chain.readable(), driver_header_);
  if (driver_header_ == kNetHeaderBytes) return chain.readable();
  virtio::copy_from(chain.readable(), short_header_);
  parts_.assign({{.iov_base = short_header_.data(), .iov_len = short_header_.size()}});
  auto frame = virtio::skip_front(chain.readable(), driver_header_);
  parts_.insert(parts_.end(), frame.begin(), frame.end());
  return parts_;
}

}  // namespace pagurus::device
