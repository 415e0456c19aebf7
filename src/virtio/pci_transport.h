// virtio over PCI, modern only (virtio 1.2, 4.1).
//
// BAR 0 holds the four structures, a page each: common configuration, ISR, device configuration and
// notifications (4 bytes per queue).  BAR 1 holds MSI-X.  The structures can also be reached through
// the PCI configuration access capability.
//
// Every queue has an eventfd.  While BAR 0 is mapped, bus::Doorbells turns writes to the queue's
// notify register into counts of it inside the kernel; a write that reaches us anyway counts too.
// Doorbells do not depend on the queue's or the device's state, so a load that finds the BAR where
// it was touches none.
//
// Threads and locks: register accesses come from vCPU threads, reset(), the section from the control
// thread; Transport's calls from anywhere.  Lock order: PciFunction's lock, lock_, then the device's.
// What a worker touches (status, vectors, ISR) is atomic: it never takes lock_, so a reset that
// holds lock_ can wait for the worker.
//
// State: two sections, the PCI function's and the transport's.  The function's is loaded first.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/unique_fd.h"
#include "bus/interrupt.h"
#include "bus/io_bus.h"
#include "memory/guest_memory.h"
#include "pci/function.h"
#include "virtio/device.h"
#include "virtio/transport_state.h"
#include "vmstate/section.h"

namespace pagurus::virtio {

struct PciTransportParts {
  std::string name;     // of the device, for messages
  uint32_t class_code;  // PCI class, sub-class, interface
  Device& device;
  const memory::GuestMemory& memory;
  bus::IoBus& mmio;
  bus::MsiSink& msi;
  bus::Doorbells& doorbells;
};

class PciTransport final : public Transport, public vmstate::Section {
 public:
  static Result<std::unique_ptr<PciTransport>> create(const PciTransportParts& parts);
  ~PciTransport() override;

  pci::PciFunction& function() { return function_; }

  // Power-on state: the device inactive, the PCI function reset.  Control thread, vCPUs stopped.
  void reset();

  // Transport.
  void interrupt_queue(unsigned queue) override;
  void interrupt_config() override;
  void needs_reset(const char* why) override;
  int kick_fd(unsigned queue) const override { return queues_[queue]->kick.get(); }
  void replace_kick(unsigned queue, UniqueFd kick) override;

  // Section: the registers and, if the driver is up, the positions of the queues.  load() activates
  // the device with Origin::kRestored; RAM must be there.
  const vmstate::Description& description() const override;
  void save(vmstate::Writer& writer) const override;
  Result<void> load(vmstate::Reader& reader) override;

  uint8_t status() const { return status_; }
  uint64_t interrupts() const { return interrupts_.load(std::memory_order_relaxed); }
  uint64_t guest_faults() const { return faults_.count() + function_.guest_faults(); }

 private:
  static constexpr uint16_t kNoVector = 0xffff;

  struct QueueRegisters {
    QueueConfig config;  // guarded by lock_
    std::atomic<uint16_t> vector{kNoVector};
    UniqueFd kick;
  };

  // BAR 0.
  class Registers final : public bus::IoHandler, public pci::BarListener {
   public:
    explicit Registers(PciTransport& transport) : transport_(transport) {}
    uint64_t io_read(uint64_t offset, unsigned size) override;
    void io_write(uint64_t offset, unsigned size, uint64_t value) override;
    void bar_mapped(memory::GuestAddress base) override;
    void bar_unmapped(memory::GuestAddress base) override;
    // Around a change of a queue's eventfd.
    void detach(unsigned queue);
    void attach(unsigned queue);

   private:
    PciTransport& transport_;
    memory::GuestAddress base_;
    std::vector<bool> attached_;  // by queue; empty while the BAR is not mapped
  };
  // The data field of the PCI configuration access capability (virtio 1.2, 4.1.4.9).
  class ConfigAccess final : public bus::IoHandler {
   public:
    explicit ConfigAccess(PciTransport& transport) : transport_(transport) {}
    uint64_t io_read(uint64_t offset, unsigned size) override;
    void io_write(uint64_t offset, unsigned size, uint64_t value) override;

   private:
    struct Target {
      bus::IoHandler* handler;  // nullptr: the capability points nowhere
      uint64_t offset;
      unsigned size;
    };
    Target target() const;
    PciTransport& transport_;
  };

  explicit PciTransport(const PciTransportParts& parts);
  Result<void> build();
  void add_capabilities();

  uint64_t common_read(uint64_t offset, unsigned size);
  void common_write(uint64_t offset, unsigned size, uint64_t value);
  void write_queue_register(uint64_t offset, unsigned size, uint64_t value);
  void write_status(uint8_t value);
  void negotiate();
  void start_driver();
  void reset_device();
  QueueRegisters* selected();
  uint16_t checked_vector(uint64_t value) const;
  QueueFeatures queue_features() const;
  Result<std::vector<std::optional<Queue>>> make_queues(const std::vector<QueuePosition>& positions) const;
  Result<void> check_state(const TransportState& state) const;
  void fault(const char* what);
  TransportState snapshot() const;

  std::string name_;
  Device& device_;
  const memory::GuestMemory& memory_;
  bus::Doorbells& doorbells_;
  Registers registers_{*this};
  ConfigAccess config_access_{*this};
  // The vector is constant after build().  Outlives function_, which detaches the doorbells at its end.
  std::vector<std::unique_ptr<QueueRegisters>> queues_;
  pci::PciFunction function_;
  pci::Msix* msix_ = nullptr;
  uint8_t access_capability_ = 0;
  GuestFaults faults_;

  mutable std::mutex lock_;
  uint32_t device_feature_select_ = 0;  // guarded by lock_
  uint32_t driver_feature_select_ = 0;  // guarded by lock_
  uint16_t queue_select_ = 0;           // guarded by lock_
  uint64_t driver_features_ = 0;        // guarded by lock_
  bool active_ = false;                 // guarded by lock_: the device has been activated

  std::atomic<uint8_t> status_{0};
  std::atomic<uint8_t> isr_{0};
  std::atomic<uint8_t> config_generation_{0};
  std::atomic<uint16_t> config_vector_{kNoVector};
  std::atomic<uint64_t> interrupts_{0};
};

}  // namespace pagurus::virtio
