#include "machine/board.h"

#include <algorithm>

#include "base/clock.h"
#include "base/log.h"
#include "machine/layout.h"

namespace pagurus::machine {

Result<std::unique_ptr<Board>> Board::create(const Config& config, DevicePlan plan, BoardListener& listener) {
  auto memory = TRY(memory::GuestMemory::create(config.ram_size, config.ram_pages));
  std::unique_ptr<Board> board(new Board(std::move(memory), std::move(plan), listener));
  TRY(board->build_platform(config));
  TRY(board->build_nics());
  TRY(board->map_buses());
  return board;
}

Board::Board(memory::GuestMemory memory, DevicePlan plan, BoardListener& listener)
    : listener_(listener), memory_(std::move(memory)), plan_(std::move(plan)) {}

Board::~Board() = default;

Result<void> Board::build_platform(const Config& config) {
  system_ = std::make_unique<kvm::System>(TRY(kvm::System::open()));
  if (!config.incoming) TRY(memory_.allocate());
  vm_ = TRY(kvm::Vm::create(*system_, memory_.present() ? &memory_ : nullptr));
  msi_ = std::make_unique<bus::KvmMsiSink>(*vm_);
  doorbells_ = std::make_unique<bus::KvmDoorbells>(*vm_);
  serial_line_ = std::make_unique<bus::KvmEdgeLine>(*vm_, kvm::Gsi{layout::kSerialGsi});
  ged_line_ = std::make_unique<bus::KvmEdgeLine>(*vm_, kvm::Gsi{layout::kGedGsi});
  power_ = std::make_unique<device::PowerControl>(static_cast<device::PowerSink&>(*this), *ged_line_);
  if (plan_.hotplug == SlotHotplug::kYes) {
    hotplug_line_ = std::make_unique<bus::KvmEdgeLine>(*vm_, kvm::Gsi{layout::kPciHotplugGsi});
    hotplug_ = std::make_unique<device::PciHotplug>(static_cast<device::EjectSink&>(*this), *hotplug_line_);
  }
  serial_ = std::make_unique<device::Uart16550>(*plan_.serial.backend, *serial_line_);
  vcpus_ = TRY(kvm::VcpuSet::create(*vm_, config.vcpus, *this));
  return {};
}

Result<void> Board::build_nics() {
  constexpr pci::PciBus::Window kWindow{static_cast<uint32_t>(layout::kPciMemory.base),
                                        static_cast<uint32_t>(layout::kPciMemory.size)};
  pci_ = std::make_unique<pci::PciBus>(mmio_, kWindow);
  for (const NicPlan& plan : plan_.nics) {
    auto nic = TRY(make_nic(plan));
    TRY(pci_->add(nic->function(), plan.config.slot));
    nics_.push_back(std::move(nic));
  }
  return pci_->assign_bars();
}

Result<std::unique_ptr<device::VirtioNet>> Board::make_nic(const NicPlan& plan) {
  return device::VirtioNet::create(
      {.config = plan.config,
       .backend = *plan.backend,
       .memory = memory_,
       .mmio = mmio_,
       .msi = *msi_,
       .doorbells = *doorbells_,
       .on_rx_filter_changed = [this, id = plan.config.id] { listener_.rx_filter_changed(id); }});
}

Result<void> Board::plug(std::unique_ptr<device::VirtioNet>&& nic, NicPlan&& plan) {
  TRY(pci_->add(nic->function(), plan.config.slot));
  nics_.push_back(std::move(nic));
  plan_.nics.push_back(std::move(plan));
  return {};
}

Board::Unplugged Board::unplug(device::VirtioNet& nic) {
  auto device = std::ranges::find(nics_, &nic, &std::unique_ptr<device::VirtioNet>::get);
  auto plan = std::ranges::find(plan_.nics, nic.config().id, [](const NicPlan& entry) { return entry.config.id; });
  CHECK(device != nics_.end() && plan != plan_.nics.end(), "a NIC of this board is unplugged");
  nic.reset();
  pci_->remove(nic.function());
  Unplugged unplugged{.nic = std::move(*device), .backend = std::move(plan->backend)};
  nics_.erase(device);
  plan_.nics.erase(plan);
  return unplugged;
}

Result<void> Board::map_buses() {
  using namespace layout;
  static_assert(kPciConfigPorts.base == pci::kConfigPorts && kPciConfigPorts.size == pci::kConfigPortCount);
  static_assert(kEcam.size == pci::kEcamBytes);
  TRY(pio_.map(kSerialPorts.base, kSerialPorts.size, "serial port", *serial_));
  TRY(pio_.map(kPowerPorts.base, kPowerPorts.size, "power control", power_->ports()));
  TRY(pio_.map(kKeyboardStatusPort.base, kKeyboardStatusPort.size, "keyboard controller",
               power_->keyboard_controller()));
  TRY(pio_.map(kPciConfigPorts.base, kPciConfigPorts.size, "PCI configuration", pci_->config_ports()));
  if (hotplug_) TRY(pio_.map(kPciHotplugPorts.base, kPciHotplugPorts.size, "PCI hot-plug", *hotplug_));
  return mmio_.map(kEcam.base, kEcam.size, "ECAM", pci_->ecam());
}

Result<void> Board::allocate_ram() {
  TRY(memory_.allocate());
  return vm_->map_ram(memory_);
}

Result<void> Board::adopt_ram(UniqueFd memfd) {
  TRY(memory_.adopt(std::move(memfd)));
  TRY(memory_.populate());
  TRY(vm_->map_ram(memory_));
  // Best effort: without it the guest's first touch of each page is a little slower.
  vcpus_->pre_fault(memory_);
  return {};
}

Result<void> Board::start_dirty_log() {
  CHECK(!logs_dirty_, "the log is started once before it is stopped");
  logs_dirty_ = true;
  auto started = memory_.start_dirty_log();
  for (auto& nic : nics_) {
    if (started) started = nic->start_dirty_log();
  }
  if (started) started = vm_->start_dirty_log();
  if (!started) stop_dirty_log();
  return started;
}

Result<void> Board::collect_dirty(memory::PageBitmap& into) {
  CHECK(logs_dirty_, "a log that was started is read");
  for (auto& nic : nics_) nic->collect_dirty();
  memory_.take_dirty(into);
  return vm_->take_dirty(into);
}

void Board::stop_dirty_log() {
  if (!std::exchange(logs_dirty_, false)) return;
  for (auto& nic : nics_) nic->stop_dirty_log();
  memory_.stop_dirty_log();
  // A log that goes on costs the guest a little, and nothing else.
  if (auto stopped = vm_->stop_dirty_log(); !stopped) log_warning("{}", stopped.error().message());
}

Result<void> Board::set_boot(const BootState& boot) {
  if (boot.kind == BootKind::kPvh) {
    return vcpus_->set_boot(kvm::PvhBoot{.entry = static_cast<uint32_t>(boot.entry.value),
                                         .start_info = static_cast<uint32_t>(boot.info.value)});
  }
  return vcpus_->set_boot(kvm::Linux64Boot{
      .entry = boot.entry.value, .boot_params = boot.info.value, .page_tables = boot.page_tables, .gdt = boot.gdt});
}

Result<void> Board::reset() {
  for (auto& nic : nics_) nic->reset();
  pci_->reset();
  TRY(pci_->assign_bars());
  if (hotplug_) hotplug_->reset();
  serial_->reset();
  power_->reset();
  TRY(vcpus_->reset_all());
  return vm_->reset();
}

Instant Board::run() {
  // The guest first: what it asks of a device that is still frozen is looked at by its thaw().
  Instant told = Instant::now();
  vcpus_->resume();
  for (auto& nic : nics_) nic->thaw();
  return told;
}

void Board::halt(net::PauseReason reason) {
  vcpus_->request_pause();
  for (auto& nic : nics_) nic->request_freeze();
  for (auto& nic : nics_) nic->wait_frozen(reason);
  vcpus_->wait_paused();
}

std::vector<DeviceSection> Board::sections() {
  std::vector<DeviceSection> sections{{"pci", pci_.get()}, {plan_.serial.id, serial_.get()}, {"power", power_.get()}};
  sections.push_back({"host-bridge", &pci_->host_bridge()});
  if (hotplug_) sections.push_back({"pci-hotplug", hotplug_.get()});
  for (auto& nic : nics_) {
    for (const auto& [name, section] : nic->sections()) sections.push_back({name, &section});
  }
  return sections;
}

// A triple fault resets a PC.
void Board::shutdown(uint32_t vcpu) {
  log_info("vCPU {} met a triple fault: the machine is reset", vcpu);
  listener_.guest_reset();
}

void Board::system_event(uint32_t vcpu, uint32_t type) {
  listener_.guest_failed(fmt::format("vCPU {} stopped with system event {}", vcpu, type));
}

void Board::internal_error(uint32_t, const std::string& text) { listener_.guest_failed(text); }

}  // namespace pagurus::machine
