// The two halves of a virtio device: Device is what it does (net, block, ...) and knows no bus;
// Transport is how the guest reaches it and knows no device type.
//
//   driver ──registers──▶ Transport ──activate(), deactivate()──▶ Device
//   driver ◀─interrupts── Transport ◀─interrupt_queue(), needs_reset()── Device's worker
//
// Device states:
//
//   inactive ──activate()──▶ active ──deactivate()──▶ inactive
//                              └─ broken ring ─▶ needs reset ──deactivate()──▶ inactive
//
// Threads: the transport calls the device with its own lock held, from vCPU threads and from the
// control thread.  A device's worker calls the transport and must find it without that lock: all
// calls of Transport are lock-free as far as registers go.  So deactivate() may wait for the worker.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "virtio/queue.h"

namespace pagurus::virtio {

// Feature bits of every device (virtio 1.2, 6).
inline constexpr uint64_t kFeatureIndirectDesc = uint64_t{1} << 28;
inline constexpr uint64_t kFeatureEventIdx = uint64_t{1} << 29;
inline constexpr uint64_t kFeatureVersion1 = uint64_t{1} << 32;
inline constexpr uint64_t kFeatureRingPacked = uint64_t{1} << 34;

// Device status bits (virtio 1.2, 2.1).
inline constexpr uint8_t kStatusAcknowledge = 1;
inline constexpr uint8_t kStatusDriver = 2;
inline constexpr uint8_t kStatusDriverOk = 4;
inline constexpr uint8_t kStatusFeaturesOk = 8;
inline constexpr uint8_t kStatusNeedsReset = 64;
inline constexpr uint8_t kStatusFailed = 128;

// What a device asks of its transport.  Thread-safe.
class Transport {
 public:
  virtual ~Transport() = default;
  // "Used buffers": the caller has decided that the driver wants to hear of them.
  virtual void interrupt_queue(unsigned queue) = 0;
  // The device's configuration space has changed.
  virtual void interrupt_config() = 0;
  // The driver broke a ring: NEEDS_RESET, and a configuration interrupt (virtio 1.2, 2.1.2).
  virtual void needs_reset(const char* why) = 0;
  // The eventfd that the driver's kicks of a queue signal; constant but for replace_kick(), owned by the transport.
  virtual int kick_fd(unsigned queue) const = 0;
  // In activate() with a restored state: another one that somebody waits for already.
  virtual void replace_kick(unsigned queue, UniqueFd kick) = 0;
};

enum class Origin {
  kDriver,    // a driver has just set DRIVER_OK
  kRestored,  // a saved state was loaded; the host's objects are as the other process left them
};

struct Activation {
  uint64_t features;
  // One per queue of the device; empty where the driver did not enable it.
  std::vector<std::optional<Queue>> queues;
  Origin origin;
};

class Device {
 public:
  virtual ~Device() = default;
  // virtio 1.2, 5: 1 is a network device.
  virtual uint16_t type() const = 0;
  // Of the queues' maximal sizes, powers of two; constant.
  virtual std::span<const uint16_t> queue_sizes() const = 0;
  // Offered features, transport features included.
  virtual uint64_t features() const = 0;
  // Whether a subset of features() makes sense (virtio 1.2, 5.x.3.1: what requires what).
  virtual bool accepts(uint64_t features) const = 0;
  // The device's configuration space; constant size, little-endian, read-only.
  virtual std::vector<uint8_t> config_space() const = 0;
  // Called in an inactive device, or (kRestored) in an active one, which then drops its old queues.
  // The queues it was given are served from now on, unless the machine has frozen the device.
  virtual Result<void> activate(Activation activation) = 0;
  // Stops serving before it returns; the queues are gone.
  virtual void deactivate() = 0;
  // Of an active queue.
  virtual std::optional<QueuePosition> position(unsigned queue) const = 0;
};

}  // namespace pagurus::virtio
