// Buffer management and sending.

#include "guest/queue_pair.h"

namespace pagurus::guest {

void QueuePair::set_memory(const Parts& parts) {
  rx_.set_memory(parts.rx_ring, parts.most);
  tx_.set_memory(parts.tx_ring, parts.most);
  buffers_ = parts.buffers;
}

void QueuePair::fill(bool checksums) {
  // DATA_VALID (2) is harmless; everything else was not negotiated.
  refused_flags_ = static_cast<uint8_t>(~(2 | (checksums ? kNeedsChecksum : 0)));
  for (uint16_t i = 0; i < rx_.size(); ++i) post_receive(i, i);
  const auto buffers = static_cast<uint16_t>(rx_.size() + tx_.size());
  for (auto i = rx_.size(); i < buffers; ++i) spare_[spare_count_++] = i;
  for (uint16_t i = 0; i < tx_.size(); ++i) tx_free_list_[tx_free_++] = i;
  rx_.kick();
}

void QueuePair::post_receive(uint16_t descriptor, uint16_t buffer_index) {
  rx_buffer_[descriptor] = buffer_index;
  rx_.post(descriptor, reinterpret_cast<uint64_t>(buffer(buffer_index)), kBufferSize, Direction::device_writes);
}

void QueuePair::reclaim() {
  while (tx_.has_used()) {
    const auto descriptor = static_cast<uint16_t>(tx_.take_used().descriptor & (Virtqueue::kMaxSize - 1));
    spare_[spare_count_++] = tx_buffer_[descriptor];
    tx_free_list_[tx_free_++] = descriptor;
  }
}

void QueuePair::send(uint16_t buffer_index, const Frame& frame) {
  auto* words = reinterpret_cast<uint32_t*>(buffer(buffer_index));
  if (frame.partial_checksum) {
    // Swapping source and destination changes neither the sum so far nor where the rest of it belongs.
    words[0] = kNeedsChecksum;
    words[1] &= 0xffff0000;
    words[2] &= 0x0000ffff;
  } else {
    words[0] = words[1] = words[2] = 0;  // no offload
  }
  const uint16_t descriptor = tx_free_list_[--tx_free_];
  tx_buffer_[descriptor] = buffer_index;
  tx_.post(descriptor, reinterpret_cast<uint64_t>(words), kHeaderSize + frame.size, Direction::device_reads);
  ++counters_.tx_frames;
  counters_.tx_bytes += frame.size;
}

bool QueuePair::acceptable(const Header& header, uint32_t length) {
  if (length < kHeaderSize + 14 || length > kBufferSize || header.buffer_count > 1) {
    ++counters_.rx_bad_length;
    return false;
  }
  if ((header.flags & refused_flags_) != 0 || header.gso_type != 0) {
    ++counters_.rx_offload_errors;
    return false;
  }
  ++counters_.rx_frames;
  counters_.rx_bytes += length - kHeaderSize;
  return true;
}

bool QueuePair::arm_interrupts() {
  // With a full transmit ring only a completed transmission helps; what was received waits for it.
  if (tx_free_ == 0) return tx_.arm_interrupt();
  return rx_.arm_interrupt();
}

void QueuePair::flush() {
  for (unsigned i = 0; i < 200000 && tx_free_ != tx_.size(); ++i) {
    reclaim();
    relax();
  }
}

}  // namespace pagurus::guest
