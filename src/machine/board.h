// The hardware of a machine: KVM, RAM, buses and devices, wired together.  It has no run state and no
// policy: machine.cc decides when it runs and what a guest's power-off means.
//
// Threads: everything on the control thread, except the BoardListener's calls.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "bus/io_bus.h"
#include "bus/kvm_interrupts.h"
#include "device/pci_hotplug/pci_hotplug.h"
#include "device/power/power_control.h"
#include "device/serial/uart_16550.h"
#include "device/virtio_net/virtio_net.h"
#include "kvm/exit.h"
#include "kvm/system.h"
#include "kvm/vcpu_set.h"
#include "kvm/vm.h"
#include "machine/back_ends.h"
#include "machine/boot/boot_state.h"
#include "memory/guest_memory.h"
#include "pci/bus.h"

namespace pagurus::machine {

// What the guest does to the machine as a whole.  Called on a vCPU's thread; must not wait for vCPUs.
class BoardListener {
 public:
  virtual ~BoardListener() = default;
  virtual void guest_power_off() = 0;
  virtual void guest_reset() = 0;
  // hotplug()->take_ejected() has something to tell.
  virtual void guest_ejected() = 0;
  virtual void guest_failed(const std::string& why) = 0;
  // A NIC's driver has changed what it wants to receive.
  virtual void rx_filter_changed(const std::string& nic) = 0;
};

struct DeviceSection {
  std::string name;
  vmstate::Section* section;
  bool required = true;  // a destination that does not know it must refuse the guest
};

class Board final : private kvm::ExitHandler, private device::PowerSink, private device::EjectSink {
 public:
  // Everything, with every back end pending, and fresh RAM unless a guest is to come.  `listener` outlives the board.
  static Result<std::unique_ptr<Board>> create(const Config& config, DevicePlan plan, BoardListener& listener);
  ~Board() override;

  // For a guest that comes: fresh RAM, or that of a running one; then the VM sees it.
  Result<void> allocate_ram();
  Result<void> adopt_ram(UniqueFd memfd);
  // What vCPUs and devices write into RAM (machine/handover.h).
  Result<void> start_dirty_log();
  Result<void> collect_dirty(memory::PageBitmap& into);
  void stop_dirty_log();
  // The state before the first instruction of the kernel; vCPUs parked, devices frozen.
  Result<void> set_boot(const BootState& boot);
  // Power-on state of everything; vCPUs parked, devices frozen.
  Result<void> reset();

  // Guest in (returns when the vCPUs were told to run), guest out.
  Instant run();
  void halt(net::PauseReason reason = net::PauseReason::kStop);

  memory::GuestMemory& memory() { return memory_; }
  kvm::Vm& vm() { return *vm_; }
  kvm::VcpuSet& vcpus() { return *vcpus_; }
  device::PowerControl& power() { return *power_; }
  std::vector<std::unique_ptr<device::VirtioNet>>& nics() { return nics_; }
  DevicePlan& plan() { return plan_; }
  // The PCI slot of one of nics().
  unsigned slot_of(device::VirtioNet& nic) const { return pci_->slot_of(nic.function()); }
  // nullptr: this machine type's guests cannot be told of devices that come and go.
  device::PciHotplug* hotplug() { return hotplug_.get(); }
  // A NIC that is not yet on the bus; frozen.
  Result<std::unique_ptr<device::VirtioNet>> make_nic(const NicPlan& plan);
  // Only while the vCPUs are out of the guest.  plug() takes both over unless it fails; unplug() powers the
  // device off, and leaves its end to the caller: nobody need wait for that.
  Result<void> plug(std::unique_ptr<device::VirtioNet>&& nic, NicPlan&& plan);
  struct Unplugged {
    std::unique_ptr<device::VirtioNet> nic;
    std::unique_ptr<net::Backend> backend;
  };
  Unplugged unplug(device::VirtioNet& nic);
  // As at power-on; before the guest has run.
  Result<void> assign_bars() { return pci_->assign_bars(); }
  // In the order in which they are loaded.
  std::vector<DeviceSection> sections();

 private:
  Board(memory::GuestMemory memory, DevicePlan plan, BoardListener& listener);
  Result<void> build_platform(const Config& config);
  Result<void> build_nics();
  Result<void> map_buses();

  // kvm::ExitHandler.
  uint64_t pio_read(uint16_t port, unsigned size) override { return pio_.read(port, size); }
  void pio_write(uint16_t port, unsigned size, uint64_t value) override { pio_.write(port, size, value); }
  uint64_t mmio_read(uint64_t address, unsigned size) override { return mmio_.read(address, size); }
  void mmio_write(uint64_t address, unsigned size, uint64_t value) override { mmio_.write(address, size, value); }
  void shutdown(uint32_t vcpu) override;
  void system_event(uint32_t vcpu, uint32_t type) override;
  void internal_error(uint32_t vcpu, const std::string& text) override;
  // device::PowerSink.
  void guest_power_off() override { listener_.guest_power_off(); }
  void guest_reset() override { listener_.guest_reset(); }
  // device::EjectSink.
  void guest_ejected() override { listener_.guest_ejected(); }

  bool logs_dirty_ = false;
  // In the order of construction; the vCPUs, which use all of it, go first.
  BoardListener& listener_;
  memory::GuestMemory memory_;
  DevicePlan plan_;
  bus::IoBus pio_;
  bus::IoBus mmio_;
  std::unique_ptr<kvm::System> system_;
  std::unique_ptr<kvm::Vm> vm_;
  std::unique_ptr<bus::KvmMsiSink> msi_;
  std::unique_ptr<bus::KvmDoorbells> doorbells_;
  std::unique_ptr<bus::KvmEdgeLine> serial_line_;
  std::unique_ptr<bus::KvmEdgeLine> ged_line_;
  std::unique_ptr<bus::KvmEdgeLine> hotplug_line_;
  std::unique_ptr<device::PowerControl> power_;
  std::unique_ptr<device::PciHotplug> hotplug_;
  std::unique_ptr<device::Uart16550> serial_;
  std::vector<std::unique_ptr<device::VirtioNet>> nics_;
  std::unique_ptr<pci::PciBus> pci_;
  std::unique_ptr<kvm::VcpuSet> vcpus_;
};

}  // namespace pagurus::machine
