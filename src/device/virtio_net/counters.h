// What a network device has done, for status and tests.  It goes on counting in the next process.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

namespace pagurus::device {

struct NetCounters {
  uint64_t rx_packets = 0;
  uint64_t rx_bytes = 0;  // without the virtio header, like tx_bytes
  uint64_t rx_dropped = 0;
  uint64_t rx_filtered = 0;  // the driver does not want them
  uint64_t tx_packets = 0;
  uint64_t tx_bytes = 0;
  uint64_t tx_dropped = 0;
  uint64_t kicks = 0;  // wake-ups by the driver; several writes may be one
  uint64_t interrupts = 0;
  uint64_t guest_faults = 0;
};

// What one queue pair of it has done.
struct PairCounters {
  uint64_t rx_packets = 0;
  uint64_t rx_bytes = 0;
  uint64_t rx_dropped = 0;
  uint64_t rx_filtered = 0;
  uint64_t tx_packets = 0;
  uint64_t tx_bytes = 0;
  uint64_t tx_dropped = 0;
  uint64_t kicks = 0;
  uint64_t interrupts = 0;

  // As they move.
  static constexpr size_t kCount = 9;
  std::array<uint64_t, kCount> numbers() const {
    return {rx_packets, rx_bytes, rx_dropped, rx_filtered, tx_packets, tx_bytes, tx_dropped, kicks, interrupts};
  }
};

// Written by the pair's worker, read by anyone.
struct AtomicNetCounters {
  std::atomic<uint64_t> rx_packets{0};
  std::atomic<uint64_t> rx_bytes{0};
  std::atomic<uint64_t> rx_dropped{0};
  std::atomic<uint64_t> rx_filtered{0};
  std::atomic<uint64_t> tx_packets{0};
  std::atomic<uint64_t> tx_bytes{0};
  std::atomic<uint64_t> tx_dropped{0};
  std::atomic<uint64_t> kicks{0};
  std::atomic<uint64_t> interrupts{0};

  PairCounters read() const {
    return {.rx_packets = rx_packets,
            .rx_bytes = rx_bytes,
            .rx_dropped = rx_dropped,
            .rx_filtered = rx_filtered,
            .tx_packets = tx_packets,
            .tx_bytes = tx_bytes,
            .tx_dropped = tx_dropped,
            .kicks = kicks,
            .interrupts = interrupts};
  }
  // While nobody counts: what PairCounters::numbers() was.
  void go_on_from(const std::array<uint64_t, PairCounters::kCount>& numbers) {
    std::atomic<uint64_t>* const all[] = {&rx_packets, &rx_bytes,   &rx_dropped, &rx_filtered, &tx_packets,
                                          &tx_bytes,   &tx_dropped, &kicks,      &interrupts};
    for (size_t i = 0; i < numbers.size(); ++i) *all[i] = numbers[i];
  }
};

}  // namespace pagurus::device
