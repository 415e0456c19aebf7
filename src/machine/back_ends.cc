#include "machine/back_ends.h"

#include <algorithm>
#include <optional>
#include <set>

namespace pagurus::machine {
namespace {

// Takes part in hand-overs unless the machine type says otherwise.
bool transfer_default(const MachineType& type, std::string_view driver) {
  return type.default_of(driver, "backend-transfer", true);
}

Result<std::vector<std::unique_ptr<net::Backend>>> create_netdevs(const Config& config, NamedFds& named_fds) {
  std::vector<std::unique_ptr<net::Backend>> netdevs;
  std::set<std::string> ids;
  for (const auto& options : config.netdevs) {
    auto netdev = TRY(net::create_netdev(options, named_fds));
    if (!ids.insert(netdev->id()).second) return fail("Duplicate ID '{}' for netdev", netdev->id());
    if (netdev->announced() && !config.incoming) {
      return fail("netdev '{}': local-incoming=on is for a process that waits for a guest: it needs -incoming",
                  netdev->id());
    }
    netdevs.push_back(std::move(netdev));
  }
  return netdevs;
}

Result<NicPlan> plan_nic(const schema::DeviceOptions& options, unsigned index, const MachineType& type,
                         std::vector<std::unique_ptr<net::Backend>>& netdevs) {
  NicPlan nic;
  nic.config = TRY(device::VirtioNetConfig::from(*options.as_virtio_net_pci(),
                                                 {.id = options.id.value_or(fmt::format("nic{}", index)),
                                                  .index = index,
                                                  .backend_transfer = transfer_default(type, "virtio-net-pci")}));
  auto found =
      std::ranges::find_if(netdevs, [&](const auto& netdev) { return netdev && netdev->id() == nic.config.netdev; });
  if (found == netdevs.end()) {
    return fail("device '{}': there is no netdev '{}', or another device uses it", nic.config.id, nic.config.netdev);
  }
  nic.backend = std::move(*found);
  if (nic.backend->announced() && !nic.config.backend_transfer) {
    return fail(
        "netdev '{}' has local-incoming=on, but property backend-transfer of its device '{}' is off: it could not "
        "arrive",
        nic.config.netdev, nic.config.id);
  }
  return nic;
}

Result<schema::ChardevOptions> find_chardev(const Config& config, const std::string& id) {
  auto found = std::ranges::find(config.chardevs, id, &schema::ChardevOptions::id);
  if (found == config.chardevs.end()) return fail("no chardev '{}': define it with -chardev ...,id={}", id, id);
  return *found;
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
  return SerialPlan{.id = choice.id, .backend = std::move(backend), .backend_transfer = choice.backend_transfer};
}

}  // namespace

Result<DevicePlan> plan_devices(const Config& config, const MachineType& type, NamedFds& named_fds, event::Loop& loop) {
  DevicePlan plan;
  auto netdevs = TRY(create_netdevs(config, named_fds));
  std::optional<SerialChoice> serial;
  std::set<std::string> ids;
  for (const schema::DeviceOptions& options : config.devices) {
    std::string id;
    switch (options.driver()) {
      case schema::DeviceDriver::kVirtioNetPci:
        plan.nics.push_back(TRY(plan_nic(options, static_cast<unsigned>(plan.nics.size()), type, netdevs)));
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
  for (const auto& netdev : netdevs) {
    if (netdev)
      return fail("netdev '{}' is used by no device: add -device virtio-net-pci,netdev={}", netdev->id(), netdev->id());
  }
  if (config.serials.size() + (serial ? 1 : 0) > 1) return fail("this machine has one serial port, more are asked for");
  if (!serial) {
    serial = SerialChoice{.chardev = config.serials.empty() ? "" : config.serials.front(),
                          .backend_transfer = transfer_default(type, "isa-serial")};
  }
  plan.serial = TRY(create_serial(config, *serial, named_fds, loop));
  return plan;
}

}  // namespace pagurus::machine
