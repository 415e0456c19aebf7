#include "device/virtio_net/receiver.h"

#include <algorithm>
#include <array>

#include "base/bytes.h"
#include "device/virtio_net/state.h"
#include "virtio/iovec.h"

namespace pagurus::device {
namespace {

constexpr size_t kNumBuffersAt = 10;  // in virtio_net_hdr_v1
constexpr size_t kMaxIovecs = 1024;   // UIO_MAXIOV

}  // namespace

Receiver::Receiver(virtio::Queue& queue, net::Port& port, const RxFilter& filter, Mode mode,
                   AtomicNetCounters& counters)
    : queue_(queue),
      port_(port),
      filter_(filter),
      mode_(mode),
      counters_(counters),
      chains_(queue.size()),
      spill_(kMaxNetFrame) {}

virtio::RingResult<Receiver::Outcome> Receiver::run(unsigned budget) {
  queue_.disable_kicks();
  auto outcome = move_frames(budget);
  give_back();
  if (queue_.publish_used()) interrupt_ = true;
  return outcome;
}

virtio::RingResult<Receiver::Outcome> Receiver::move_frames(unsigned budget) {
  for (unsigned moved = 0; moved < budget;) {
    bool ready = false;
    if (held_.empty()) {
      auto room = gather(mode_.likely_frame);
      if (!room) return std::unexpected(room.error());
      ready = *room;
    } else {
      auto delivered = deliver(held_);
      if (!delivered) return std::unexpected(delivered.error());
      if (*delivered) {
        held_.clear();
        continue;
      }
    }
    if (!ready) {
      // The driver should see what it has been given before it is asked for more.
      if (queue_.publish_used()) interrupt_ = true;
      auto more = queue_.enable_kicks();
      if (!more) return std::unexpected(more.error());
      if (!*more) return Outcome::kStarved;
      continue;
    }
    net::IoResult result = read_frame();
    if (result.status == net::IoStatus::kWouldBlock) return Outcome::kIdle;
    if (result.status == net::IoStatus::kDropped) return Outcome::kFailed;
    size_t bytes = result.bytes + (mode_.backend_header ? 0 : kNetHeaderBytes);
    if (!wanted(bytes)) {
      note_written(bytes);
      counters_.rx_filtered.fetch_add(1, std::memory_order_relaxed);
    } else if (bytes <= room_) {
      place(bytes);
    } else {
      spill(bytes);
    }
    ++moved;
  }
  return Outcome::kMore;
}

// Pops chains until `bytes` fit, as far as there are any.  False if there is none at all.
virtio::RingResult<bool> Receiver::gather(size_t bytes) {
  size_t most = mode_.mergeable ? chains_.size() : 1;
  // One iovec is the spill buffer's.
  while (room_ < bytes && !full_) {
    virtio::DescriptorChain& next = chain(count_);
    auto popped = queue_.pop(next);
    if (!popped) return std::unexpected(popped.error());
    if (!*popped) break;
    if (next.writable_bytes() < kNetHeaderBytes) {
      // It must be returned by give_back(), so count it before the error.
      ++count_;
      return virtio::broken("a receive buffer without room for the header");
    }
    if (count_ > 0 && buffers_ + next.writable().size() > kMaxIovecs - 1) {
      queue_.unpop(next);
      full_ = true;
      break;
    }
    ++count_;
    buffers_ += next.writable().size();
    room_ += next.writable_bytes();
    full_ = count_ == most || buffers_ >= kMaxIovecs - 1;
  }
  return count_ > 0;
}

net::IoResult Receiver::read_frame() {
  frame_.clear();
  for (size_t i = 0; i < count_; ++i) {
    auto buffers = chain(i).writable();
    frame_.insert(frame_.end(), buffers.begin(), buffers.end());
  }
  // A single chain may fill all iovecs; then there is nothing behind it.
  if (frame_.size() < kMaxIovecs) frame_.push_back({.iov_base = spill_.data(), .iov_len = spill_.size()});
  incoming_ = virtio::skip_front(frame_, mode_.backend_header ? 0 : kNetHeaderBytes);
  return port_.receive(incoming_);
}

// Whether the driver wants the frame that was just read.
bool Receiver::wanted(size_t bytes) {
  if (filter_.promisc) return true;
  std::array<uint8_t, kNetHeaderBytes + RxFilter::kLooksAt> read{};
  size_t header = mode_.backend_header ? kNetHeaderBytes : 0;
  size_t length = std::min(bytes - kNetHeaderBytes, RxFilter::kLooksAt);
  virtio::copy_from(incoming_, std::span(read).first(header + length));
  std::array<uint8_t, RxFilter::kLooksAt> start{};
  std::copy_n(read.begin() + static_cast<ptrdiff_t>(header), length, start.begin());
  return filter_.passes(start);
}

// The first `bytes` bytes of the gathered chains were written, and go back with them.
void Receiver::note_written(size_t bytes) const {
  for (size_t i = 0; i < count_; ++i) {
    const virtio::DescriptorChain& chain = chains_[(first_ + i) % chains_.size()];
    size_t written = std::min<size_t>(bytes, chain.writable_bytes());
    queue_.note_written(chain, written);
    bytes -= written;
  }
}

// The frame lies in the gathered chains: returns those it covers to the driver.
void Receiver::place(size_t bytes) {
  size_t used = 0;
  for (size_t covered = 0; covered < bytes; ++used) covered += chain(used).writable_bytes();
  if (!mode_.backend_header) {
    std::array<uint8_t, kNetHeaderBytes> none{};
    virtio::copy_to(chain(0).writable(), 0, none);
  }
  std::array<uint8_t, 2> number{};
  store_le<uint16_t>(number.data(), static_cast<uint16_t>(used));
  virtio::copy_to(chain(0).writable(), kNumBuffersAt, number);
  size_t rest = bytes;
  for (size_t i = 0; i < used; ++i) {
    size_t written = std::min<size_t>(rest, chain(i).writable_bytes());
    queue_.push_used(chain(i), static_cast<uint32_t>(written));
    rest -= written;
    room_ -= chain(i).writable_bytes();
    buffers_ -= chain(i).writable().size();
  }
  first_ = (first_ + used) % chains_.size();
  count_ -= used;
  full_ = false;
  counters_.rx_packets.fetch_add(1, std::memory_order_relaxed);
  counters_.rx_bytes.fetch_add(bytes - mode_.header, std::memory_order_relaxed);
}

// The frame is longer than the chains; its end is in the spill buffer.
void Receiver::spill(size_t bytes) {
  note_written(room_);
  if (!mode_.mergeable || bytes > kMaxNetFrame || bytes - room_ > spill_.size()) {
    counters_.rx_dropped.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  held_.assign(bytes, 0);
  size_t at = 0;
  for (size_t i = 0; i < count_; ++i) {
    at += virtio::copy_from(chain(i).writable(), std::span(held_).subspan(at));
  }
  std::copy_n(spill_.begin(), bytes - at, held_.begin() + static_cast<ptrdiff_t>(at));
  // What the buffers held before is not the frame's.
  if (!mode_.backend_header) std::fill_n(held_.begin(), kNetHeaderBytes, 0);
}

// True if the frame is gone: delivered, or dropped because no ring of this size can take it.
virtio::RingResult<bool> Receiver::deliver(std::span<const uint8_t> frame) {
  auto room = gather(frame.size());
  if (!room) return std::unexpected(room.error());
  if (room_ < frame.size()) {
    if (!full_) return false;
    counters_.rx_dropped.fetch_add(1, std::memory_order_relaxed);
    return true;
  }
  std::span<const uint8_t> rest = frame;
  for (size_t i = 0; !rest.empty(); ++i) rest = rest.subspan(virtio::copy_to(chain(i).writable(), 0, rest));
  place(frame.size());
  return true;
}

virtio::RingResult<bool> Receiver::accept(std::span<const uint8_t> frame) {
  queue_.disable_kicks();
  auto delivered = deliver(frame);
  while (delivered && !*delivered) {
    publish();
    auto more = queue_.enable_kicks();
    if (!more) delivered = std::unexpected(more.error());
    if (!more || !*more) break;
    delivered = deliver(frame);
  }
  give_back();
  return delivered;
}

void Receiver::give_back() {
  while (count_ > 0) queue_.unpop(chain(--count_));
  first_ = buffers_ = room_ = 0;
  full_ = false;
}

Receiver::Outcome Receiver::discard(unsigned budget) {
  iovec nowhere{.iov_base = spill_.data(), .iov_len = spill_.size()};
  for (unsigned i = 0; i < budget; ++i) {
    net::IoResult result = port_.receive({&nowhere, 1});
    if (result.status == net::IoStatus::kWouldBlock) return Outcome::kIdle;
    if (result.status == net::IoStatus::kDropped) return Outcome::kFailed;
    counters_.rx_dropped.fetch_add(1, std::memory_order_relaxed);
  }
  return Outcome::kMore;
}

}  // namespace pagurus::device
