// virtio-net (virtio 1.2, 5.1) on PCI: up to 16 queue pairs, and a control queue.
//
// Queues 2k and 2k+1 (receive, transmit) are queue pair k's; one pair, or with mq=on as many as the back
// end has.  The control queue comes behind the last pair; for a driver that has not negotiated
// VIRTIO_NET_F_MQ it comes behind the first one, in the place of queue 2.  Each pair has a worker thread of
// its own (queue_pair.h); the first pair's worker also serves the control queue and sends the machine's own
// announcement of the guest's address.
//
// States of the service; the device is created paused:
//
//              driver: DRIVER_OK ──▶ active     reset ──▶ inactive
//   machine:   paused ──thaw()──▶ running ──request_freeze(), wait_frozen()──▶ paused
//
// The workers run exactly while the device is not paused, and serve while it is also active and its
// rings are whole.  Paused means: nothing is in our hands but, at most, one frame per pair that waits for
// room and belongs to the saved state; every other frame read from the back end is in the guest's
// ring, published, its interrupt sent, even one that was to wait for more packets (coalescing.h).  thaw() looks at
// every queue once, because a kick may have been consumed by another process, and starts watching the back end, which
// must be thawed by then.
//
// A back end that serves rings itself is given those of all pairs (ring_service.h): then the pairs serve
// nothing, and the back end does whenever the device is not paused, active, and the guest has a link.
//
// How the machine uses it:
//   new guest:   create → PciBus::add(function()) → backend.open() → ... backend.thaw() → thaw()
//   destination: create (back end pending) → rehearsal loads, if any → backend.adopt() or open()
//                → load every section of sections() in that order → backend.thaw() → thaw()
//   stop:        vCPUs out → request_freeze() → wait_frozen() → backend.freeze()
//   system_reset: frozen → reset()
// A load checks the negotiated features against the back end unless that is still pending.
//
// Threads and locks: registers on vCPU threads through the transport; the public functions below on
// the control thread.  Lock order: PciFunction's lock, PciTransport::lock_, lock_.  The workers take
// none of them, so whoever holds them may wait for all of them to freeze.  A control command that changes
// what the pairs share freezes the other workers itself, on the first one: so the first worker is frozen
// before the others are, and thawed after them.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "device/virtio_net/config.h"
#include "device/virtio_net/control_queue.h"
#include "device/virtio_net/counters.h"
#include "device/virtio_net/queue_pair.h"
#include "device/virtio_net/ring_service.h"
#include "device/virtio_net/state.h"
#include "net/backend.h"
#include "virtio/device.h"
#include "virtio/pci_transport.h"

namespace pagurus::device {

// All but `config` outlive the device.
struct VirtioNetParts {
  VirtioNetConfig config;
  net::Backend& backend;
  const memory::GuestMemory& memory;
  bus::IoBus& mmio;
  bus::MsiSink& msi;
  bus::Doorbells& doorbells;
  // The driver has changed what it wants to receive, for the first time since rx_filter() told it.  On a worker.
  std::function<void()> on_rx_filter_changed = [] {};
};

struct NamedSection {
  std::string name;
  vmstate::Section& section;
};

class VirtioNet final : private virtio::Device, private vmstate::Section, private net::BackendListener {
 public:
  static Result<std::unique_ptr<VirtioNet>> create(const VirtioNetParts& parts);
  ~VirtioNet() override;

  const VirtioNetConfig& config() const { return config_; }
  net::Backend& backend() { return backend_; }
  pci::PciFunction& function() { return transport_->function(); }
  // "<id>/pci", "<id>/virtio", "<id>/net": to be loaded in this order.
  std::vector<NamedSection> sections();

  // Several devices can be asked before the first wait.  Idempotent.
  void request_freeze();
  // reason: for a back end that serves the rings.
  void wait_frozen(net::PauseReason reason);
  void thaw();
  // Power-on state; only while frozen.
  void reset();

  // Around the copying of RAM under the running guest: lets a back end that serves the rings tell what it writes.
  Result<void> start_dirty_log();
  void collect_dirty();
  void stop_dirty_log();

  // The wire as the operator has it; the guest sees a link while the back end is connected, too.
  void set_link(bool up);
  // The restored guest has come to another back end than the one its driver set up: tells it what the
  // driver agreed to receive, and how many queue pairs it uses.  Only while frozen.
  void renew_backend();
  // Asks the guest to tell the network where it is (virtio 1.2, 5.1.6.5.4).  False if the driver
  // has not negotiated that.  Only while frozen or running, on the control thread.
  bool announce();
  // Tells the network itself where the guest is (rarp.h), whatever its driver does: a worker sends one
  // frame soon, after thaw() if it is frozen now; none while the link is down.
  void announce_by_rarp();

  // What the driver wants to receive now.
  RxFilter rx_filter();
  // Of the whole device, and of each queue pair by itself.
  NetCounters counters() const;
  std::vector<PairCounters> pair_counters() const;
  uint64_t control_kicks() const { return control_kicks_; }
  // Device status register, for status and tests (virtio 1.2, 2.1).
  uint8_t device_status() const { return transport_->status(); }

 private:
  VirtioNet(const VirtioNetParts& parts, std::vector<uint16_t> queue_sizes);

  // virtio::Device.
  uint16_t type() const override { return 1; }
  std::span<const uint16_t> queue_sizes() const override { return queue_sizes_; }
  uint64_t features() const override;
  bool accepts(uint64_t features) const override;
  std::vector<uint8_t> config_space() const override;
  Result<void> activate(virtio::Activation activation) override;
  void deactivate() override;
  std::optional<virtio::QueuePosition> position(unsigned queue) const override;

  // vmstate::Section.
  const vmstate::Description& description() const override { return VirtioNetState::description(); }
  void save(vmstate::Writer& writer) const override;
  Result<void> load(vmstate::Reader& reader) override;

  // net::BackendListener.
  void hold_still(const std::function<void()>& change) override;
  void connection_changed() override;

  Result<void> build(const VirtioNetParts& parts);
  Result<void> begin_session(virtio::Activation& activation);
  void end_session();
  Result<void> place_control_queue(uint64_t features);
  size_t likely_frame(uint64_t features) const;

  // With lock_ held.
  void request_workers();
  void wait_for_workers();
  void thaw_workers();
  void change_still(const std::function<void()>& change);
  // While the workers are frozen: makes them look at everything once.
  void rouse();
  void reset_settings();
  Result<void> load_settings(VirtioNetState& state);
  // The first `pairs` pairs serve, the others do not; a back end that serves the rings knows by itself.
  void set_active(unsigned pairs);
  // Lets the back end serve the rings if they are to be served now.
  void serve_rings();
  // Whether the guest is to hear of it.
  bool renew_link();

  // The first worker's.
  void look_again_at_control();
  void on_control_kick();
  void on_announce();
  void on_ring_error();
  void give_up(const char* why);
  void serve_control();
  ControlAnswer execute(const ControlCommand& command);
  ControlAnswer set_filter(const ControlCommand& command);
  void tell_rx_filter_changed();
  ControlAnswer set_multiqueue(const ControlCommand& command);
  ControlAnswer set_pairs(unsigned pairs, const Rss& rss);
  ControlAnswer set_offloads(const ControlCommand& command);
  ControlAnswer set_coalescing(const ControlCommand& command);
  void hold_others(const std::function<void()>& change);
  bool serving() const { return active_ && !context_.broken; }

  VirtioNetConfig config_;
  net::Backend& backend_;
  std::vector<uint16_t> queue_sizes_;
  PairContext context_;
  std::function<void()> on_rx_filter_changed_;
  std::atomic<bool> told_rx_filter_changed_{false};
  std::atomic<uint64_t> control_kicks_{0};
  std::atomic<bool> link_set_{true};  // by set_link()
  std::atomic<bool> announce_{false};
  std::unique_ptr<virtio::PciTransport> transport_;
  UniqueFd announce_event_;  // asks the first worker for a frame of announce_by_rarp()

  mutable std::mutex lock_;
  bool paused_ = true;  // guarded by lock_
  // The first worker's while it runs; whoever holds lock_ may touch them while it is frozen.
  bool active_ = false;
  uint64_t features_ = 0;  // the driver's, while active
  std::optional<ControlQueue> control_;
  // What the driver has set, beside context_.filter.  Changed by the first worker with settings_lock_ held, the
  // last of all locks, so that a rehearsal and a reader of registers need not stop it.
  mutable std::mutex settings_lock_;
  unsigned active_pairs_ = 1;
  uint64_t offloads_off_ = 0;
  unsigned control_index_ = 0;  // the queue that is the control queue

  std::unique_ptr<RingService> ring_service_;  // if the back end serves the rings

  // Last: their threads end before what they use.
  std::vector<std::unique_ptr<QueuePair>> pairs_;
};

}  // namespace pagurus::device
