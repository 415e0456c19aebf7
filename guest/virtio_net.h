// virtio-net driver with up to 16 queue pairs (virtio 1.2, 5.1).
#pragma once

#include <cstdint>

#include "guest/control_queue.h"
#include "guest/queue_pair.h"
#include "guest/text.h"
#include "guest/virtio_pci.h"

namespace pagurus::guest {

struct MacAddress {
  uint8_t bytes[6];
};

// The pairs are served in turn, each as QueuePair says: an answer leaves by the pair that its question came in by, so
// that the host's flow steering keeps a flow where it is.
//
// Boot processor only.
class NetDevice {
 public:
  static constexpr unsigned kMaxPairs = 16;

  enum class Status : uint8_t {
    ok,
    no_device,
    no_capabilities,
    no_msix,
    features_refused,
    queue_refused,
    pairs_refused,
  };

  // Finds the device number probe.nic= (from 0), negotiates and starts it.
  Status start();
  static TextView explain(Status status);

  const MacAddress& mac() const { return mac_; }
  void read_mac();
  uint64_t offered() const { return transport_.offered(); }
  uint64_t features() const { return transport_.features(); }
  uint8_t device_status() const { return transport_.status(); }
  bool link_up() const { return (link_status() & 1) != 0; }
  uint16_t link_status() const;  // as the device tells it; 1 without VIRTIO_NET_F_STATUS
  uint16_t max_pairs() const;    // as the device tells it; 1 without VIRTIO_NET_F_MQ

  // Serves the pairs in turn with `budget` frames in all, see QueuePair::poll().
  template <typename Handle>
  unsigned poll(unsigned budget, Handle&& handle) {
    control_.poll();
    unsigned handled = 0;
    for (unsigned i = 0; i < pair_count_ && handled < budget; ++i) {
      const unsigned number = next_;
      next_ = number + 1 == pair_count_ ? 0 : number + 1;
      if (const unsigned n = pairs_[number].poll(budget - handled, handle); n != 0) {
        handled += n;
        last_busy_ = number;
      }
    }
    return handled;
  }

  // Changes when a frame comes in by the pair that was busy last.
  Watch watch() const { return pairs_[last_busy_].rx().watch(); }

  // False if there is work already; otherwise the next frame or answer interrupts.
  bool arm_interrupts();

  // Waits (bounded) until everything sent has been taken by the device.
  void flush();

  NetCounters counters() const;  // of all pairs
  unsigned pair_count() const { return pair_count_; }
  const QueuePair& pair(unsigned number) const { return pairs_[number]; }
  ControlQueue& control() { return control_; }

 private:
  uint64_t wanted_features(unsigned pairs) const;
  bool start_queue(uint16_t index, Virtqueue& queue, uint8_t vector);
  bool start_queues();
  bool enable_pairs();

  VirtioPci transport_;
  MsixTable msix_;
  QueuePair pairs_[kMaxPairs];
  ControlQueue control_;
  unsigned pair_count_ = 1;
  unsigned next_ = 0;
  unsigned last_busy_ = 0;
  MacAddress mac_ = {};
};

NetDevice& net_device();

}  // namespace pagurus::guest
