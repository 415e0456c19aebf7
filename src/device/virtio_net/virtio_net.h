// virtio-net (virtio 1.2, 5.1) on PCI: one queue pair, and a control queue for link announcements.
//
// Queues 0 and 1 (receive, transmit), and 2 (control) if guest_announce is on, are served by one
// worker thread "net/<id>" that waits for the kicks of the driver and for the back end; it also sends
// the machine's own announcement of the guest's address.
//
// States of the service; the device is created paused:
//
//              driver: DRIVER_OK ──▶ active     reset ──▶ inactive
//   machine:   paused ──thaw()──▶ running ──request_freeze(), wait_frozen()──▶ paused
//
// The worker runs exactly while the device is not paused, and serves while it is also active and
// its rings are whole.  Paused means: nothing is in our hands but, at most, one frame that waits for
// room and belongs to the saved state; every other frame read from the back end is in the guest's
// ring, published, its interrupt sent.  thaw() looks at every queue once, because a kick may have
// been consumed by another process, and starts watching the back end, which must be thawed by then.
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
// the control thread.  Lock order: PciFunction's lock, PciTransport::lock_, lock_.  The worker takes
// none of them, so whoever holds them may wait for it to freeze.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "device/virtio_net/config.h"
#include "device/virtio_net/counters.h"
#include "device/virtio_net/receiver.h"
#include "device/virtio_net/state.h"
#include "device/virtio_net/transmitter.h"
#include "event/worker.h"
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
};

struct NamedSection {
  std::string name;
  vmstate::Section& section;
};

class VirtioNet final : private virtio::Device, private vmstate::Section {
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
  void wait_frozen();
  void thaw();
  // Power-on state; only while frozen.
  void reset();

  bool link_up() const { return link_up_; }
  void set_link(bool up);
  // The restored guest has come to another back end than the one its driver set up: tells it what the
  // driver agreed to receive.  Only while frozen.
  void renew_offloads();
  // Asks the guest to tell the network where it is (virtio 1.2, 5.1.6.5.4).  False if the driver
  // has not negotiated that.  Only while frozen or running, on the control thread.
  bool announce();
  // Tells the network itself where the guest is (rarp.h), whatever its driver does: the worker sends one
  // frame soon, after thaw() if it is frozen now; none while the link is down.
  void announce_by_rarp();

  NetCounters counters() const;
  // Device status register, for status and tests (virtio 1.2, 2.1).
  uint8_t device_status() const { return transport_->status(); }

 private:
  // A driver's session with the device: exists while active.
  struct Session {
    Session(virtio::Queue rx_queue, virtio::Queue tx_queue, std::optional<virtio::Queue> control_queue)
        : rx(std::move(rx_queue)), tx(std::move(tx_queue)), control(std::move(control_queue)) {}
    virtio::Queue rx;
    virtio::Queue tx;
    std::optional<virtio::Queue> control;
    uint64_t features = 0;
    std::optional<Receiver> receiver;
    std::optional<Transmitter> transmitter;
    bool want_readable = true;   // receive has room
    bool want_writable = false;  // transmit is blocked
    bool broken = false;
  };

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

  Result<void> build(const VirtioNetParts& parts);
  Result<void> begin_session(virtio::Activation& activation);
  void end_session();
  size_t likely_frame(uint64_t features) const;
  // While the worker is frozen: makes it look at everything once.
  void rouse();

  // The worker's.
  void on_kick(unsigned queue);
  void on_backend(uint32_t events);
  void on_announce();
  void serve_receive();
  void serve_transmit();
  void serve_control();
  virtio::RingResult<void> answer_control(virtio::Queue& queue);
  bool serving() const { return session_ && !session_->broken; }
  void give_up_backend();
  void update_watch();
  void unwatch();
  void break_ring(const virtio::BrokenRing& why);

  VirtioNetConfig config_;
  net::Backend& backend_;
  std::vector<uint16_t> queue_sizes_;
  AtomicNetCounters counters_;
  std::atomic<bool> link_up_{true};
  std::atomic<bool> announce_{false};
  std::unique_ptr<virtio::PciTransport> transport_;
  UniqueFd announce_event_;  // asks the worker for a frame of announce_by_rarp()

  mutable std::mutex lock_;
  bool paused_ = true;  // guarded by lock_
  // The worker's while it runs; whoever holds lock_ may touch them while it is frozen.
  std::unique_ptr<Session> session_;
  int watched_fd_ = -1;
  uint32_t watched_events_ = 0;  // 0: not watched
  bool backend_failed_ = false;  // until the next thaw()

  // Last: its thread ends before what it uses.
  std::unique_ptr<event::Worker> worker_;
};

}  // namespace pagurus::device
