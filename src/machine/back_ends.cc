#include "machine/back_ends.h"

#include <algorithm>
#include <optional>
#include <set>

#include "base/log.h"

namespace pagurus::machine {
namespace {

Result<schema::ChardevOptions> find_chardev(const Config& config, const std::string& id) {
  auto found = std::ranges::find(config.chardevs, id, &schema::ChardevOptions::id);
  if (found == config.chardevs.end()) return fail("no chardev '{}': define it with -chardev ...,id={}", id, id);
  return *found;
}

// Empty: it is of another type.
std::string chardev_of(const schema::Netdev& netdev) {
  const auto* user = netdev.as_vhost_user();
  return user == nullptr ? "" : user->chardev;
}

struct SerialChoice {
  std::string id = "serial0";
  std::string chardev;  // empty: nobody listens
  bool backend_transfer;
};

SerialChoice choose_serial(const schema::DeviceOptions& options, const MachineType& type) {
  const schema::IsaSerialOptions& serial = *options.as_isa_serial();
  return {.id = options.id.value_or("serial0"),
          .chardev = serial.chardev,
          .backend_transfer = serial.backend_transfer.value_or(transfer_default(type, "isa-serial"))};
}

Result<SerialPlan> create_serial(const Config& config, const SerialChoice& choice, NamedFds& named_fds,
                                 event::Loop& loop) {
  // A port nobody listens to is still there: the guest's tables announce it.
  auto chardev = choice.chardev.empty() ? TRY(chardev::expand_address("null", choice.id))
                                        : TRY(find_chardev(config, choice.chardev));
  auto backend = TRY(chardev::create_chardev(chardev, named_fds, loop));
  return SerialPlan{.id = choice.id,
                    .chardev = choice.chardev,
                    .backend = std::move(backend),
                    .backend_transfer = choice.backend_transfer};
}

}  // namespace

std::vector<net::Backend*> DevicePlan::network() const {
  std::vector<net::Backend*> all;
  for (const NicPlan& nic : nics) all.push_back(nic.backend.get());
  for (const auto& netdev : netdevs) all.push_back(netdev.get());
  return all;
}

bool transfer_default(const MachineType& type, std::string_view driver) {
  return type.default_of(driver, "backend-transfer", true);
}

Result<void> check_chardev(const schema::Netdev& netdev, std::span<const schema::Netdev> others,
                           const SerialPlan& serial) {
  std::string chardev = chardev_of(netdev);
  if (chardev.empty()) return {};
  bool taken = chardev == serial.chardev || std::ranges::count(others, chardev, chardev_of) != 0;
  if (taken) return fail("chardev '{}' is used twice: a vhost-user netdev has it to itself", chardev);
  return {};
}

Result<std::unique_ptr<net::Backend>> plan_netdev(const schema::Netdev& options, bool incoming,
                                                  const net::NetdevParts& parts) {
  auto netdev = TRY(net::create_netdev(options, parts));
  if (netdev->announced() && !incoming) {
    return fail("netdev '{}': local-incoming=on is for a process that waits for a guest: it needs -incoming",
                netdev->id());
  }
  return netdev;
}

Result<NicPlan> plan_nic(const schema::DeviceOptions& options, unsigned index, const MachineType& type,
                         std::vector<std::unique_ptr<net::Backend>>& netdevs) {
  NicPlan nic{.options = options};
  nic.config = TRY(device::VirtioNetConfig::from(
      *options.as_virtio_net_pci(),
      {.id = options.id.value_or(fmt::format("nic{}", index)),
       .index = index,
       .backend_transfer = transfer_default(type, "virtio-net-pci"),
       .on = [&type](std::string_view property) { return type.default_of("virtio-net-pci", property, true); }}));
  auto found = std::ranges::find(netdevs, nic.config.netdev, [](const auto& netdev) { return netdev->id(); });
  if (found == netdevs.end()) {
    return fail("device '{}': there is no netdev '{}', or another device uses it", nic.config.id, nic.config.netdev);
  }
  if ((*found)->announced() && !nic.config.backend_transfer) {
    return fail(
        "netdev '{}' has local-incoming=on, but property backend-transfer of its device '{}' is off: it could not "
        "arrive",
        nic.config.netdev, nic.config.id);
  }
  nic.backend = std::move(*found);
  netdevs.erase(found);
  return nic;
}

Result<DevicePlan> plan_devices(const Config& config, const MachineType& type, const net::NetdevParts& parts) {
  DevicePlan plan;
  if (type.default_of("pci", "hotplug", true)) plan.hotplug = SlotHotplug::kYes;
  std::set<std::string> netdev_ids;
  for (const schema::Netdev& options : config.netdevs) {
    if (!netdev_ids.insert(options.id).second) return fail("Duplicate ID '{}' for netdev", options.id);
    plan.netdevs.push_back(TRY(plan_netdev(options, config.incoming, parts)));
  }
  std::optional<SerialChoice> serial;
  std::set<std::string> ids;
  for (const schema::DeviceOptions& options : config.devices) {
    std::string id;
    switch (options.driver()) {
      case schema::DeviceDriver::kVirtioNetPci:
        plan.nics.push_back(TRY(plan_nic(options, static_cast<unsigned>(plan.nics.size()), type, plan.netdevs)));
        id = plan.nics.back().config.id;
        break;
      case schema::DeviceDriver::kIsaSerial:
        if (serial) return fail("this machine has one serial port: a second -device isa-serial has no place");
        serial = choose_serial(options, type);
        id = serial->id;
        break;
    }
    if (!ids.insert(id).second) return fail("Duplicate device ID '{}'", id);
  }
  for (const auto& netdev : plan.netdevs) log_warning("netdev '{}' has no peer: no device uses it", netdev->id());
  if (config.serials.size() + (serial ? 1 : 0) > 1) return fail("this machine has one serial port, more are asked for");
  if (!serial) {
    serial = SerialChoice{.chardev = config.serials.empty() ? "" : config.serials.front(),
                          .backend_transfer = transfer_default(type, "isa-serial")};
  }
  plan.serial.chardev = serial->chardev;
  for (std::span<const schema::Netdev> rest = config.netdevs; !rest.empty(); rest = rest.subspan(1)) {
    TRY(check_chardev(rest.front(), rest.subspan(1), plan.serial));
  }
  plan.serial = TRY(create_serial(config, *serial, parts.named_fds, parts.loop));
  return plan;
}

}  // namespace pagurus::machine
