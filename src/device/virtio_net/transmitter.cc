#include "device/virtio_net/transmitter.h"

#include "device/virtio_net/state.h"
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
  if (bytes <= kNetHeaderBytes || bytes > kMaxNetFrame) return net::IoStatus::kDropped;
  auto frame = virtio::skip_front(chain.readable(), header_ == Header::kVirtioNet ? 0 : kNetHeaderBytes);
  net::IoResult result = port_.transmit(frame);
  if (result.status == net::IoStatus::kOk) {
    counters_.tx_packets.fetch_add(1, std::memory_order_relaxed);
    counters_.tx_bytes.fetch_add(bytes - kNetHeaderBytes, std::memory_order_relaxed);
  }
  return result.status;
}

}  // namespace pagurus::device
