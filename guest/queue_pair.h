// One receive queue and one transmit queue of a network device, with their buffers.
#pragma once

#include <cstdint>

#include "guest/virtqueue.h"

namespace pagurus::guest {

// A received Ethernet frame.  It may be changed in place and be sent back by the pair it came from.
struct Frame {
  uint8_t* data;
  uint32_t size;
  uint32_t capacity;
  bool partial_checksum;  // what travels with it says that its checksum has yet to be completed
};

struct NetCounters {
  uint64_t rx_frames, rx_bytes, tx_frames, tx_bytes;
  uint64_t rx_offload_errors;  // a frame asked for an offload that was not negotiated
  uint64_t rx_bad_length;      // shorter than its header, longer than its buffer, or spread over buffers
  uint64_t tx_full;            // times that receiving had to wait for the transmit ring
};

// Receives into buffers of 2 KiB and sends an answer from the buffer the question came in: nothing is copied.
// There are as many buffers as both rings have descriptors, so the receive ring is always full; when the transmit ring
// is full, frames stay in the receive ring until it moves (no frame is ever dropped here).
//
// Boot processor only.  Not told by interrupts what to do: they only end the sleep of the main loop.
class QueuePair {
 public:
  static constexpr uint32_t kBufferSize = 2048;
  static constexpr uint32_t kHeaderSize = 12;

  using Buffer = uint8_t[kBufferSize];

  struct Parts {
    void* rx_ring;  // Virtqueue::kMemorySize bytes each
    void* tx_ring;
    Buffer* buffers;  // twice `most`
    uint16_t most;    // descriptors of one ring
  };
  void set_memory(const Parts& parts);

  // When both queues have been started: makes all buffers available.  `checksums`: partial checksums were negotiated.
  void fill(bool checksums);

  // Hands up to `budget` received frames to handle(frame), which returns true if the frame is to be sent back.
  // Returns how many were handled.
  template <typename Handle>
  unsigned poll(unsigned budget, Handle&& handle);

  // False if there is work already; otherwise the next frame interrupts.
  bool arm_interrupts();

  // Waits (bounded) until everything sent has been taken by the device.
  void flush();

  const NetCounters& counters() const { return counters_; }
  Virtqueue& rx() { return rx_; }
  Virtqueue& tx() { return tx_; }
  const Virtqueue& rx() const { return rx_; }
  const Virtqueue& tx() const { return tx_; }

 private:
  struct Header {
    uint8_t flags;
    uint8_t gso_type;
    uint16_t header_length;
    uint16_t gso_size;
    uint16_t checksum_start;
    uint16_t checksum_offset;
    uint16_t buffer_count;
  };
  static_assert(sizeof(Header) == kHeaderSize);
  static constexpr uint8_t kNeedsChecksum = 1;

  uint8_t* buffer(uint16_t index) const { return buffers_[index]; }
  void post_receive(uint16_t descriptor, uint16_t buffer_index);
  void reclaim();
  void send(uint16_t buffer_index, const Frame& frame);
  bool acceptable(const Header& header, uint32_t length);

  Virtqueue rx_;
  Virtqueue tx_;
  Buffer* buffers_ = nullptr;
  NetCounters counters_ = {};
  uint8_t refused_flags_ = 0;                        // of a header
  uint16_t rx_buffer_[Virtqueue::kMaxSize] = {};     // buffer of each receive descriptor
  uint16_t tx_buffer_[Virtqueue::kMaxSize] = {};     // buffer of each transmit descriptor in use
  uint16_t tx_free_list_[Virtqueue::kMaxSize] = {};  // descriptors not in use
  uint16_t spare_[2 * Virtqueue::kMaxSize] = {};     // buffers in neither ring
  uint16_t tx_free_ = 0;
  uint16_t spare_count_ = 0;
};

template <typename Handle>
unsigned QueuePair::poll(unsigned budget, Handle&& handle) {
  if (!rx_.has_used()) return 0;
  rx_.disarm_interrupt();
  tx_.disarm_interrupt();
  unsigned handled = 0;
  while (handled < budget && rx_.has_used()) {
    if (tx_free_ == 0) reclaim();
    if (tx_free_ == 0) {
      ++counters_.tx_full;
      break;
    }
    const Used used = rx_.take_used();
    ++handled;
    const auto descriptor = static_cast<uint16_t>(used.descriptor & (Virtqueue::kMaxSize - 1));
    const uint16_t index = rx_buffer_[descriptor];
    auto* header = reinterpret_cast<Header*>(buffer(index));
    Frame frame{buffer(index) + kHeaderSize, used.length - kHeaderSize, kBufferSize - kHeaderSize,
                (header->flags & kNeedsChecksum) != 0};
    if (acceptable(*header, used.length) && handle(frame)) {
      send(index, frame);
      post_receive(descriptor, spare_[--spare_count_]);
    } else {
      post_receive(descriptor, index);
    }
  }
  if (handled != 0) {
    tx_.kick();
    rx_.kick();
  }
  return handled;
}

}  // namespace pagurus::guest
