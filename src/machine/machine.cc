#include "machine/machine.h"

#include <algorithm>

#include "base/log.h"
#include "machine/machine_impl.h"

namespace pagurus::machine {

// --- Building ---------------------------------------------------------------------------------

Result<std::unique_ptr<Machine>> Machine::create(const Config& config, Environment environment) {
  const MachineType* type = TRY(find_machine_type(config.machine_type));
  auto impl = std::make_unique<Impl>(config, *type, std::move(environment));
  TRY(impl->build());
  return std::unique_ptr<Machine>(new Machine(std::move(impl)));
}

Result<void> Machine::Impl::build() {
  if (config_.kernel.empty()) {
    return std::unexpected(Error("no kernel is given").remedy("-kernel PATH: a Linux bzImage or a PVH ELF"));
  }
  if (config_.cpu_model != "host")
    return fail("CPU model '{}' is not supported; this version has 'host'", config_.cpu_model);
  if (config_.vcpus < 1 || config_.vcpus > kMaxVcpus)
    return fail("{} vCPUs are asked for; 1 to {} are supported", config_.vcpus, kMaxVcpus);
  kernel_ = TRY(KernelImage::open(config_.kernel));
  if (kernel_->kind() == BootKind::kLinux64 && !kvm::host_has_hardware_virtualization()) {
    return std::unexpected(Error(fmt::format("this machine's KVM only emulates guest code (its processor shows neither "
                                             "VMX nor SVM), and a stock Linux kernel like '{}' does not run on that",
                                             config_.kernel))
                               .remedy("run it on hardware virtualization, or in the nested test host: lab/run"));
  }
  if (!config_.initrd.empty()) initrd_ = TRY(BootFile::read(config_.initrd, "initrd"));
  auto plan = TRY(plan_devices(config_, type_, back_end_parts(net::vhost_user::Patience::kUntilConnected)));
  acpi_ = build_acpi_tables(config_.vcpus, plan.hotplug);
  board_ = TRY(Board::create(config_, std::move(plan), *this));
  if (config_.incoming) {
    state_ = RunState::kInMigrate;
    return {};
  }
  TRY(open_back_ends());
  return tell_ram();
}

Result<void> Machine::Impl::open_back_ends() {
  for (net::Backend* netdev : board_->plan().network()) TRY(netdev->open());
  TRY(board_->plan().serial.backend->open());
  thaw_back_ends();
  return {};
}

Result<void> Machine::Impl::allocate_ram() {
  TRY(board_->allocate_ram());
  return tell_ram();
}

Result<void> Machine::Impl::tell_ram() {
  for (net::Backend* netdev : board_->plan().network()) TRY(netdev->ram_ready(board_->memory()));
  return {};
}

void Machine::Impl::thaw_back_ends() {
  for (net::Backend* netdev : board_->plan().network()) netdev->thaw();
  board_->plan().serial.backend->thaw();
}

// --- Run state --------------------------------------------------------------------------------

Result<void> Machine::Impl::power_on() {
  CHECK(state_ == RunState::kPrelaunch, "a guest is powered on once");
  return boot();
}

Result<void> Machine::Impl::boot() {
  acpi_->write(board_->memory());
  BootInputs inputs{.command_line = config_.append, .initrd = initrd_ ? &*initrd_ : nullptr, .rsdp = acpi_->rsdp};
  return board_->set_boot(TRY(kernel_->load(board_->memory(), inputs)));
}

Result<void> Machine::Impl::cont() {
  TRY(check_not_quitting());
  switch (state_) {
    case RunState::kRunning: return {};
    case RunState::kPrelaunch:
    case RunState::kPaused: break;
    case RunState::kInMigrate:
      return fail("the machine waits for an incoming guest and cannot be continued before it has arrived");
    case RunState::kPostMigrate:
      if (!may_continue_) return fail("the guest runs in another process; continuing it here would run it twice");
      may_continue_ = false;
      thaw_back_ends();
      break;
    case RunState::kShutdown: return fail("the guest has shut down: system_reset it first");
    case RunState::kInternalError: return fail("the guest stopped with an internal error: system_reset it first");
    case RunState::kFinishMigrate: return check_not_leaving();
  }
  tell({.event = Event::kResume, .at_ns = run_guest().realtime_ns});
  return {};
}

Instant Machine::Impl::run_guest() {
  Instant told = board_->run();
  state_ = RunState::kRunning;
  // Asked for in the moment in which the guest was stopped: nobody has looked at it since.
  if (board_->hotplug() != nullptr && board_->hotplug()->any_ejected()) post_removal();
  if (request_ != GuestRequest::kNone) environment_.loop.post([this] { carry_out_request(); });
  return told;
}

Result<void> Machine::Impl::stop() {
  TRY(check_not_leaving());
  if (state_ != RunState::kRunning) return {};
  board_->halt();
  state_ = RunState::kPaused;
  tell({.event = Event::kStop, .at_ns = realtime_ns()});
  return {};
}

Result<void> Machine::Impl::reset(bool by_guest) {
  TRY(check_not_quitting());
  TRY(check_not_leaving());
  if (state_ == RunState::kInMigrate) return fail("the machine waits for an incoming guest: there is nothing to reset");
  if (state_ == RunState::kPostMigrate) return fail("the guest runs in another process: reset it there");
  bool run_on = runs();
  if (run_on) board_->halt();
  request_ = GuestRequest::kNone;
  if (auto restarted = restart(); !restarted) {
    fail_guest(restarted.error().message());
    return restarted;
  }
  tell({.event = Event::kReset, .at_ns = realtime_ns(), .by_guest = by_guest});
  if (run_on) board_->run();
  // Shut down or failed: the machine is whole again, and waits for `cont`.
  else if (state_ != RunState::kPrelaunch)
    state_ = RunState::kPaused;
  return {};
}

Result<void> Machine::Impl::restart() {
  TRY(board_->reset());
  remove_ejected();
  return boot();
}

void Machine::Impl::quit(const std::string& reason) {
  if (quitting_) return;
  quitting_ = true;
  if (runs()) board_->halt();
  state_ = RunState::kShutdown;
  // From the loop: the answer of the command that asked for it comes first.
  environment_.loop.post([this, reason, at_ns = realtime_ns()] {
    tell({.event = Event::kShutdown, .at_ns = at_ns, .reason = reason});
    environment_.on_exit(0);
  });
}

Result<void> Machine::Impl::check_not_quitting() const {
  if (quitting_) return fail("the process is ending");
  return {};
}

// What its state was saved with must not change behind it.
Result<void> Machine::Impl::check_not_leaving() const {
  if (state_ != RunState::kFinishMigrate) return {};
  return std::unexpected(Error("the guest is held still, on its way to another process")
                             .remedy("try again when the migration has ended, or end it with migrate_cancel"));
}

// --- What the guest does ----------------------------------------------------------------------

void Machine::Impl::request(GuestRequest request) {
  request_ = request;
  // The vCPU that asked must not run on past its request.
  board_->vcpus().request_pause();
  environment_.loop.post([this] { carry_out_request(); });
}

void Machine::Impl::carry_out_request() {
  if (!runs()) return;
  GuestRequest request = request_.exchange(GuestRequest::kNone);
  if (request == GuestRequest::kNone) return;
  board_->halt();
  if (request == GuestRequest::kReset && config_.on_reset == Config::OnReset::kReset) {
    // A failure has been told by then.
    (void)reset(true);
    return;
  }
  state_ = RunState::kShutdown;
  const char* reason = request == GuestRequest::kReset ? "guest-reset" : "guest-shutdown";
  tell({.event = Event::kShutdown, .at_ns = realtime_ns(), .by_guest = true, .reason = reason});
  environment_.on_exit(0);
}

void Machine::Impl::guest_failed(const std::string& why) {
  failure_pending_ = true;
  board_->vcpus().request_pause();
  environment_.loop.post([this, why] { fail_guest(why); });
}

void Machine::Impl::rx_filter_changed(const std::string& nic) {
  environment_.loop.post(
      [this, moment = Moment{.event = Event::kRxFilterChanged, .at_ns = realtime_ns(), .device = nic}] {
        // Nothing is told in a pause.
        state_ == RunState::kFinishMigrate ? moments_.push_back(moment) : tell(moment);
      });
}

void Machine::Impl::fail_guest(const std::string& why) {
  if (state_ == RunState::kFinishMigrate) {
    // It failed in its last moment: save() refuses it, and resume() comes back to this.
    held_failure_ = why;
    return;
  }
  failure_pending_ = false;
  log_error("the guest cannot go on: {}", why);
  if (runs()) board_->halt();
  if (state_ == RunState::kPostMigrate || quitting_) return;
  state_ = RunState::kInternalError;
  tell({.event = Event::kStop, .at_ns = realtime_ns()});
}

// --- Observers --------------------------------------------------------------------------------

void Machine::Impl::tell(const Moment& moment) {
  for (MachineObserver* observer : observers_) {
    switch (moment.event) {
      case Event::kStop: observer->on_stop(moment.at_ns); break;
      case Event::kResume: observer->on_resume(moment.at_ns); break;
      case Event::kReset: observer->on_reset(moment.at_ns, moment.by_guest); break;
      case Event::kShutdown: observer->on_shutdown(moment.at_ns, moment.by_guest, moment.reason); break;
      case Event::kPowerdown: observer->on_powerdown(moment.at_ns); break;
      case Event::kDeviceDeleted: observer->on_device_deleted(moment.at_ns, moment.device); break;
      case Event::kNetdevConnected: observer->on_netdev_connected(moment.at_ns, moment.netdev, moment.peer); break;
      case Event::kVhostUserConnected:
        observer->on_vhost_user_connected(moment.at_ns, moment.netdev, moment.chardev);
        break;
      case Event::kVhostUserDisconnected: observer->on_vhost_user_disconnected(moment.at_ns, moment.netdev); break;
      case Event::kNetdevDisconnected: observer->on_netdev_disconnected(moment.at_ns, moment.netdev); break;
      case Event::kRxFilterChanged: observer->on_rx_filter_changed(moment.at_ns, moment.device); break;
    }
  }
}

void Machine::Impl::tell_in_order(Moment moment) {
  if (moments_.empty()) return tell(moment);
  moments_.push_back(std::move(moment));
}

void Machine::Impl::netdev_connected(const std::string& id, const schema::SocketAddress& peer) {
  tell_in_order({.event = Event::kNetdevConnected, .at_ns = realtime_ns(), .netdev = id, .peer = peer});
}

void Machine::Impl::netdev_disconnected(const std::string& id) {
  tell_in_order({.event = Event::kNetdevDisconnected, .at_ns = realtime_ns(), .netdev = id});
}

void Machine::Impl::vhost_user_connected(const std::string& id, const std::string& chardev) {
  tell_in_order({.event = Event::kVhostUserConnected, .at_ns = realtime_ns(), .netdev = id, .chardev = chardev});
}

void Machine::Impl::vhost_user_disconnected(const std::string& id) {
  tell_in_order({.event = Event::kVhostUserDisconnected, .at_ns = realtime_ns(), .netdev = id});
}

void Machine::Impl::report_events() {
  auto moments = std::exchange(moments_, {});
  for (const Moment& moment : moments) tell(moment);
}

// --- Devices ----------------------------------------------------------------------------------

Result<void> Machine::Impl::set_link(const std::string& name, bool up) {
  TRY(check_not_leaving());
  if (state_ == RunState::kPostMigrate) return fail("the guest has left this process: set its link where it is");
  for (auto& nic : board_->nics()) {
    if (nic->config().id != name && nic->config().netdev != name) continue;
    nic->set_link(up);
    return {};
  }
  return std::unexpected(Error(fmt::format("Device '{}' not found", name), ErrorClass::kDeviceNotFound));
}

std::vector<BackendReport> Machine::Impl::backends() {
  std::vector<BackendReport> reports;
  auto report = [&](const std::string& device, const char* type, const std::string& backend, std::string_view kind,
                    bool takes_part, const vmstate::Movable& movable) {
    auto declared = movable.movable();
    std::string reason = !declared ? declared.error().message() : takes_part ? "" : "property backend-transfer is off";
    reports.push_back({device, type, backend, std::string(kind), reason.empty(), reason});
  };
  for (auto& nic : board_->plan().nics) {
    report(nic.config.id, "virtio-net-pci", nic.backend->id(), nic.backend->kind(), nic.config.backend_transfer,
           *nic.backend);
  }
  const SerialPlan& serial = board_->plan().serial;
  report(serial.id, "isa-serial", serial.backend->id(), serial.backend->kind(), serial.backend_transfer,
         *serial.backend);
  return reports;
}

// --- The public face --------------------------------------------------------------------------

Machine::Machine(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Machine::~Machine() = default;
Result<void> Machine::power_on() { return impl_->power_on(); }
RunState Machine::run_state() const { return impl_->state_; }
Result<void> Machine::cont() { return impl_->cont(); }
Result<void> Machine::stop() { return impl_->stop(); }
Result<void> Machine::reset() { return impl_->reset(false); }

Result<void> Machine::power_button() {
  if (impl_->state_ == RunState::kInMigrate)
    return fail("the machine waits for an incoming guest: nobody is there to press the button for");
  if (impl_->state_ == RunState::kPostMigrate) return fail("the guest runs in another process: press the button there");
  TRY(impl_->check_not_leaving());
  impl_->board_->power().press_power_button();
  impl_->tell({.event = Impl::Event::kPowerdown, .at_ns = realtime_ns()});
  return {};
}

void Machine::quit(const std::string& reason) { impl_->quit(reason); }
Result<void> Machine::set_link(const std::string& name, bool up) { return impl_->set_link(name, up); }
Result<void> Machine::add_netdev(const schema::Netdev& options) { return impl_->add_netdev(options); }
Result<void> Machine::delete_netdev(const std::string& id) { return impl_->delete_netdev(id); }
Result<void> Machine::add_device(const schema::DeviceOptions& options) { return impl_->add_device(options); }
Result<void> Machine::delete_device(const std::string& id) { return impl_->delete_device(id); }
NetworkOptions Machine::network_options() const { return impl_->network_options(); }
std::vector<NicReport> Machine::nics() const { return impl_->nics(); }
Result<std::vector<RxFilterReport>> Machine::rx_filters(const std::string& id) { return impl_->rx_filters(id); }
const Config& Machine::config() const { return impl_->config_; }
std::vector<BackendReport> Machine::backends() const { return impl_->backends(); }
std::vector<int> Machine::vcpu_thread_ids() const { return impl_->board_->vcpus().thread_ids(); }
void Machine::add_observer(MachineObserver& observer) { impl_->observers_.push_back(&observer); }
void Machine::remove_observer(MachineObserver& observer) { std::erase(impl_->observers_, &observer); }
Handover& Machine::handover() { return *impl_; }

}  // namespace pagurus::machine
