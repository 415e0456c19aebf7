#include "device/virtio_net/steering.h"

#include <algorithm>

#include "base/bytes.h"

namespace pagurus::device {
namespace {

void count(std::atomic<uint64_t>& counter) { counter.fetch_add(1, std::memory_order_relaxed); }

}  // namespace

virtio::RingResult<Receiver::Outcome> Steering::run(unsigned budget) {
  for (unsigned moved = 0; moved < budget; ++moved) {
    if (size_ == 0) {
      net::IoResult result = read_frame();
      if (result.status == net::IoStatus::kWouldBlock) return Receiver::Outcome::kIdle;
      if (result.status == net::IoStatus::kDropped) return Receiver::Outcome::kFailed;
      bool fits = size_ <= kMaxBody;
      if (!fits || !wanted()) {
        count(fits ? parts_.counters.rx_filtered : parts_.counters.rx_dropped);
        size_ = 0;
        continue;
      }
    }
    auto delivered = deliver();
    if (!delivered) return std::unexpected(delivered.error());
    if (!*delivered) return Receiver::Outcome::kStarved;
    size_ = 0;
  }
  return Receiver::Outcome::kMore;
}

net::IoResult Steering::read_frame() {
  header_ = {};
  std::array parts{iovec{header_.data(), header_.size()},
                   iovec{buffer_.data() + kHashHeaderBytes, buffer_.size() - kHashHeaderBytes}};
  size_t header = parts_.backend_header ? header_.size() : 0;
  auto into = parts_.backend_header ? std::span<const iovec>(parts) : std::span<const iovec>(parts).subspan(1);
  net::IoResult result = parts_.port.receive(into);
  size_ = result.status == net::IoStatus::kOk ? result.bytes - std::min(result.bytes, header) : 0;
  return result;
}

bool Steering::wanted() const {
  std::array<uint8_t, RxFilter::kLooksAt> start{};
  std::ranges::copy(frame().first(std::min(size_, start.size())), start.begin());
  return parts_.filter.passes(start);
}

virtio::RingResult<bool> Steering::deliver() {
  FrameHash hash = parts_.rss.hash(frame());
  size_t header = parts_.reports_hash ? kHashHeaderBytes : kNetHeaderBytes;
  size_t at = kHashHeaderBytes - header;
  std::ranges::copy(header_, buffer_.begin() + static_cast<ptrdiff_t>(at));
  if (parts_.reports_hash) {
    store_le<uint32_t>(buffer_.data() + kNetHeaderBytes, hash.value);
    store_le<uint16_t>(buffer_.data() + kNetHeaderBytes + 4, hash.report);
    store_le<uint16_t>(buffer_.data() + kNetHeaderBytes + 6, 0);
  }
  unsigned pair = parts_.rss.pair_for(hash, parts_.reader);
  return parts_.deliver(pair, std::span(buffer_).subspan(at, header + size_));
}

std::vector<uint8_t> Steering::held_frame() const {
  if (size_ == 0) return {};
  std::vector<uint8_t> held(header_.begin(), header_.end());
  held.insert(held.end(), frame().begin(), frame().end());
  return held;
}

void Steering::hold(const std::vector<uint8_t>& held) {
  size_ = held.size() - std::min(held.size(), header_.size());
  if (size_ == 0) return;
  auto body = held.begin() + static_cast<ptrdiff_t>(header_.size());
  std::copy(held.begin(), body, header_.begin());
  std::copy(body, held.end(), buffer_.begin() + static_cast<ptrdiff_t>(kHashHeaderBytes));
}

}  // namespace pagurus::device
