// virtio-net driver with one queue pair (virtio 1.2, 5.1).
#pragma once

#include <cstdint>

#include "guest/virtio_pci.h"
#include "guest/virtqueue.h"

namespace pagurus::guest {

struct MacAddress {
  uint8_t bytes[6];
};

// A received Ethernet frame.  It may be changed in place and be sent back by NetDevice::send().
struct Frame {
  uint8_t* data;
  uint32_t size;
  uint32_t capacity;
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
class NetDevice {
 public:
  enum class Status : uint8_t { ok, no_device, no_capabilities, no_msix, features_refused, queue_refused };

  // Finds the device number probe.nic= (from 0), negotiates and starts it.
  Status start();
  static TextView explain(Status status);

  const MacAddress& mac() const { return mac_; }
  uint64_t features() const { return transport_.features(); }
  uint8_t device_status() const { return transport_.status(); }
  bool link_up() const;

  // Hands up to `budget` received frames to handle(frame), which returns true if the frame is to be sent back.
  // Returns how many were handled.
  template <typename Handle>
  unsigned poll(unsigned budget, Handle&& handle);

  bool has_work() const { return rx_.has_used() && (tx_free_ != 0 || tx_.has_used()); }

  // False if there is work already; otherwise the next frame interrupts.
  bool arm_interrupts();
  void disarm_interrupts();

  // Waits (bounded) until everything sent has been taken by the device.
  void flush();

  const NetCounters& counters() const { return counters_; }
  const Virtqueue& rx() const { return rx_; }
  const Virtqueue& tx() const { return tx_; }

 private:
  static constexpr uint32_t kBufferSize = 2048;
  static constexpr uint32_t kHeaderSize = 12;

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

  uint8_t* buffer(uint16_t index) const;
  void post_receive(uint16_t descriptor, uint16_t buffer_index);
  void reclaim();
  void send(uint16_t buffer_index, uint32_t size);
  bool acceptable(const Header& header, uint32_t length);
  void fill_rings();

  VirtioPci transport_;
  MsixTable msix_;
  Virtqueue rx_;
  Virtqueue tx_;
  MacAddress mac_ = {};
  NetCounters counters_ = {};
  uint16_t rx_buffer_[Virtqueue::kMaxSize] = {};        // buffer of each receive descriptor
  uint16_t tx_buffer_[Virtqueue::kMaxSize] = {};        // buffer of each transmit descriptor in use
  uint16_t tx_free_list_[Virtqueue::kMaxSize] = {};     // descriptors not in use
  uint16_t spare_[2 * Virtqueue::kMaxSize] = {};        // buffers in neither ring
  uint16_t tx_free_ = 0;
  uint16_t spare_count_ = 0;
};

template <typename Handle>
unsigned NetDevice::poll(unsigned budget, Handle&& handle) {
  unsigned handled = 0;
  while (handled < budget && rx_.has_used()) {
    if (tx_free_ == 0) reclaim();
    if (tx_free_ == 0) {
      ++counters_.tx_full;
      break;
    }
    const Virtqueue::Used used = rx_.take_used();
    ++handled;
    const uint16_t index = rx_buffer_[used.descriptor & (Virtqueue::kMaxSize - 1)];
    auto* header = reinterpret_cast<Header*>(buffer(index));
    Frame frame{buffer(index) + kHeaderSize, used.length - kHeaderSize, kBufferSize - kHeaderSize};
    if (acceptable(*header, used.length) && handle(frame)) {
      send(index, frame.size);
      post_receive(used.descriptor, spare_[--spare_count_]);
    } else {
      post_receive(used.descriptor, index);
    }
  }
  if (handled != 0) {
    tx_.kick();
    rx_.kick();
  }
  return handled;
}

NetDevice& net_device();

}  // namespace pagurus::guest
