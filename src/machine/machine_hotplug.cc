// Devices that come and go: back ends, and the NICs that use them.
//
// The bus changes while the vCPUs are out of the guest, for a moment of which the guest knows nothing: no
// access to a register is under way then, so a device can end.  The guest is told through device::PciHotplug.
#include <algorithm>
#include <bit>

#include "base/log.h"
#include "machine/machine_impl.h"

namespace pagurus::machine {
namespace {

// As QEMU: after that, a guest that has not let its device go is asked again.
constexpr int64_t kEjectPatienceNs = 5'000'000'000;

std::unexpected<Error> no_such_device(const std::string& id) {
  return std::unexpected(Error(fmt::format("Device '{}' not found", id), ErrorClass::kDeviceNotFound));
}

}  // namespace

// --- When -------------------------------------------------------------------------------------

Result<Machine::Impl::Plugging> Machine::Impl::plugging() const {
  TRY(check_not_quitting());
  TRY(check_not_leaving());
  if (devices_held_) return fail("nothing can be plugged or unplugged while a migration is in progress");
  switch (state_) {
    case RunState::kPrelaunch:
    case RunState::kInMigrate: return Plugging::kCold;
    case RunState::kRunning:
    case RunState::kPaused: return Plugging::kHot;
    case RunState::kPostMigrate: return fail("the guest has left this process: plug and unplug where it is");
    default: return fail("the guest does not run any more: system_reset it first");
  }
}

Result<Machine::Impl::Plugging> Machine::Impl::device_plugging() const {
  Plugging how = TRY(plugging());
  if (how == Plugging::kCold || board_->hotplug() != nullptr) return how;
  return std::unexpected(Error(fmt::format("machine type '{}' has no hot-plug: its devices can change only before the "
                                           "guest runs",
                                           type_.name))
                             .remedy("start the process with -S, or use machine type pagurus-1.2 or a newer one"));
}

// --- Back ends --------------------------------------------------------------------------------

Result<void> Machine::Impl::add_netdev(const schema::Netdev& options) {
  TRY(plugging());
  if (std::ranges::count(config_.netdevs, options.id, &schema::Netdev::id) != 0) {
    return fail("Duplicate ID '{}' for netdev", options.id);
  }
  TRY(check_chardev(options, config_.netdevs, board_->plan().serial));
  bool incoming = state_ == RunState::kInMigrate;
  auto netdev = TRY(plan_netdev(options, incoming, back_end_parts(net::vhost_user::Patience::kNone)));
  if (!incoming) {
    TRY(netdev->open());
    TRY(netdev->ram_ready(board_->memory()));
    netdev->thaw();
  }
  board_->plan().netdevs.push_back(std::move(netdev));
  config_.netdevs.push_back(options);
  network_changed_ = true;
  return {};
}

Result<void> Machine::Impl::delete_netdev(const std::string& id) {
  TRY(plugging());
  auto& netdevs = board_->plan().netdevs;
  auto found = std::ranges::find(netdevs, id, [](const auto& netdev) { return netdev->id(); });
  if (found == netdevs.end()) {
    for (const NicPlan& nic : board_->plan().nics) {
      if (nic.config.netdev != id) continue;
      return std::unexpected(Error(fmt::format("netdev '{}' is in use by device '{}'", id, nic.config.id))
                                 .remedy("device_del the device first"));
    }
    return no_such_device(id);
  }
  netdevs.erase(found);
  std::erase_if(config_.netdevs, [&](const schema::Netdev& netdev) { return netdev.id == id; });
  network_changed_ = true;
  return {};
}

// --- Devices ----------------------------------------------------------------------------------

Result<void> Machine::Impl::add_device(const schema::DeviceOptions& options) {
  Plugging how = TRY(device_plugging());
  if (options.as_virtio_net_pci() == nullptr) {
    return fail("Device '{}' does not support hotplugging", schema::to_string(options.driver()));
  }
  unsigned index = free_nic_index();
  if (options.id && (find_nic(*options.id) != nullptr || *options.id == board_->plan().serial.id)) {
    return fail("Duplicate device ID '{}'", *options.id);
  }
  auto plan = TRY(plan_nic(options, index, type_, board_->plan().netdevs));
  auto plugged = plug(plan, how);
  // The back end is free again.
  if (!plugged) board_->plan().netdevs.push_back(std::move(plan.backend));
  return plugged;
}

Result<void> Machine::Impl::plug(NicPlan& plan, Plugging how) {
  auto nic = TRY(board_->make_nic(plan));
  device::VirtioNet& device = *nic;
  Result<void> plugged;
  with_vcpus_out([&] { plugged = board_->plug(std::move(nic), std::move(plan)); });
  TRY(std::move(plugged));
  network_changed_ = true;
  if (how == Plugging::kCold) {
    CHECK(board_->assign_bars(), "the window has room for the BARs of a NIC in every slot");
    return {};
  }
  if (runs()) device.thaw();
  board_->hotplug()->announce_up(board_->slot_of(device));
  return {};
}

Result<void> Machine::Impl::delete_device(const std::string& id) {
  Plugging how = TRY(device_plugging());
  if (id == board_->plan().serial.id) return fail("Device '{}' does not support hotplugging", "isa-serial");
  device::VirtioNet* nic = find_nic(id);
  if (nic == nullptr) return no_such_device(id);
  if (how == Plugging::kCold) {
    unplug(*nic);
    return {};
  }
  unsigned slot = board_->slot_of(*nic);
  int64_t& deadline = eject_deadlines_[id];
  if (board_->hotplug()->going_down(slot) && monotonic_ns() < deadline) {
    return fail("Device {} is already in the process of unplug", id);
  }
  deadline = monotonic_ns() + kEjectPatienceNs;
  board_->hotplug()->request_down(slot);
  return {};
}

void Machine::Impl::unplug(device::VirtioNet& nic) {
  std::string id = nic.config().id;
  nic.request_freeze();
  nic.wait_frozen(net::PauseReason::kStop);
  Board::Unplugged unplugged;
  with_vcpus_out([&] { unplugged = board_->unplug(nic); });
  unplugged.backend->set_listener(nullptr);
  unplugged.nic.reset();
  board_->plan().netdevs.push_back(std::move(unplugged.backend));
  eject_deadlines_.erase(id);
  network_changed_ = true;
  tell({.event = Event::kDeviceDeleted, .at_ns = realtime_ns(), .device = id});
}

void Machine::Impl::with_vcpus_out(const std::function<void()>& change) {
  // They are out already while a running guest is reset.
  bool take_out = runs() && !board_->vcpus().paused();
  if (take_out) {
    board_->vcpus().request_pause();
    board_->vcpus().wait_paused();
  }
  change();
  // One that asked for something, or cannot go on, stays out: somebody is about to look at that.
  if (take_out && request_ == GuestRequest::kNone && !failure_pending_) board_->vcpus().resume();
}

void Machine::Impl::post_removal() {
  environment_.loop.post([this] { remove_ejected(); });
}

void Machine::Impl::remove_ejected() {
  bool here = state_ != RunState::kFinishMigrate && state_ != RunState::kPostMigrate && state_ != RunState::kInMigrate;
  if (board_->hotplug() == nullptr || !here || devices_held_ || quitting_) return;
  for (uint32_t slots = board_->hotplug()->take_ejected(); slots != 0; slots &= slots - 1) {
    auto slot = static_cast<unsigned>(std::countr_zero(slots));
    auto& nics = board_->nics();
    auto nic = std::ranges::find(nics, slot, [this](const auto& device) { return board_->slot_of(*device); });
    if (nic != nics.end()) unplug(**nic);
  }
}

void Machine::Impl::hold_devices(bool hold) {
  devices_held_ = hold;
  if (!hold && board_->hotplug() != nullptr && board_->hotplug()->any_ejected()) post_removal();
}

// --- What there is ----------------------------------------------------------------------------

device::VirtioNet* Machine::Impl::find_nic(const std::string& id) const {
  auto& nics = board_->nics();
  auto found = std::ranges::find(nics, id, [](const auto& nic) { return nic->config().id; });
  return found == nics.end() ? nullptr : found->get();
}

std::vector<NicReport> Machine::Impl::nics() const {
  std::vector<NicReport> reports;
  for (const auto& nic : board_->nics()) {
    reports.push_back({.id = nic->config().id,
                       .netdev = nic->config().netdev,
                       .pairs = nic->pair_counters(),
                       .control_kicks = nic->control_kicks()});
  }
  return reports;
}

Result<std::vector<RxFilterReport>> Machine::Impl::rx_filters(const std::string& id) {
  if (!id.empty() && find_nic(id) == nullptr) return fail("invalid net client name: {}", id);
  std::vector<RxFilterReport> reports;
  for (auto& nic : board_->nics()) {
    if (id.empty() || nic->config().id == id) reports.push_back({.id = nic->config().id, .filter = nic->rx_filter()});
  }
  return reports;
}

// As if it were the next -device of the command line; but what has been unplugged has left a gap, and the ids
// and MAC addresses behind it are taken.
unsigned Machine::Impl::free_nic_index() const {
  auto taken = [this](unsigned index) {
    schema::DeviceOptions options;
    auto would_be = device::VirtioNetConfig::from(
        *options.as_virtio_net_pci(),
        {.id = fmt::format("nic{}", index), .index = index, .backend_transfer = true, .on = [](std::string_view) {
           return true;
         }});
    return std::ranges::any_of(board_->nics(), [&](const auto& nic) {
      return nic->config().id == would_be->id || nic->config().mac == would_be->mac;
    });
  };
  auto index = static_cast<unsigned>(board_->nics().size());
  while (taken(index)) ++index;
  return index;
}

NetworkOptions Machine::Impl::network_options() const {
  NetworkOptions network{.changed = network_changed_, .netdevs = config_.netdevs};
  for (const NicPlan& plan : board_->plan().nics) {
    schema::DeviceOptions options = plan.options;
    auto& nic = std::get<schema::VirtioNetPciOptions>(options.branch);
    options.id = plan.config.id;
    nic.addr = fmt::format("{:x}", board_->slot_of(*find_nic(plan.config.id)));
    nic.mac = device::to_string(plan.config.mac);
    network.devices.push_back(std::move(options));
  }
  return network;
}

}  // namespace pagurus::machine
