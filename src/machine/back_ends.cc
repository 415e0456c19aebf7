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

Result<NicPlan> plan_nic(qapi::Options options, unsigned index, const MachineType& type,
                         std::vector<std::unique_ptr<net::Backend>>& netdevs) {
  NicPlan nic;
  nic.config =
      TRY(device::VirtioNetConfig::parse(options, {.id = fmt::format("nic{}", index),
                                                   .index = index,
                                                   .backend_transfer = transfer_default(type, "virtio-net-pci")}));
  auto found =
      std::ranges::find_if(netdevs, [&](const auto& netdev) { return netdev && netdev->id() == nic.config.netdev; });
  if (found == netdevs.end()) {
    return fail("-device virtio-net-pci: no netdev '{}', or another device uses it", nic.config.netdev);
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

// The chardev with this id, as its own Options.
Result<qapi::Options> find_chardev(const Config& config, const std::string& id) {
  for (const auto& options : config.chardevs) {
    auto copy = options;
    if (TRY(copy.take_string("id")) == id) return options;
  }
  return fail("no chardev '{}': define it with -chardev ...,id={}", id, id);
}

struct SerialOptions {
  std::string id = "serial0";
  std::string chardev;
  bool backend_transfer;
};

Result<SerialOptions> parse_isa_serial(qapi::Options options, const MachineType& type) {
  SerialOptions serial{.backend_transfer = transfer_default(type, "isa-serial")};
  serial.id = TRY(options.take_string("id")).value_or(serial.id);
  serial.chardev = TRY(options.take_string("chardev")).value_or("");
  serial.backend_transfer = TRY(options.take_bool("backend-transfer")).value_or(serial.backend_transfer);
  TRY(options.finish());
  if (serial.chardev.empty()) return fail("-device isa-serial: parameter 'chardev' is missing");
  return serial;
}

Result<SerialPlan> create_serial(const Config& config, const SerialOptions& options, NamedFds& named_fds,
                                 event::Loop& loop) {
  // A port nobody listens to is still there: the guest's tables announce it.
  auto chardev = options.chardev.empty() ? TRY(qapi::Options::parse("null,id=serial0", chardev::kImpliedKey, "-serial"))
                                         : TRY(find_chardev(config, options.chardev));
  auto backend = TRY(chardev::create_chardev(std::move(chardev), named_fds, loop));
  return SerialPlan{.id = options.id, .backend = std::move(backend), .backend_transfer = options.backend_transfer};
}

}  // namespace

Result<DevicePlan> plan_devices(const Config& config, const MachineType& type, NamedFds& named_fds, event::Loop& loop) {
  DevicePlan plan;
  auto netdevs = TRY(create_netdevs(config, named_fds));
  std::optional<SerialOptions> serial;
  std::set<std::string> ids;
  for (qapi::Options options : config.devices) {
    auto driver = TRY(options.take_string("driver")).value_or("");
    if (driver == "virtio-net-pci") {
      plan.nics.push_back(TRY(plan_nic(std::move(options), static_cast<unsigned>(plan.nics.size()), type, netdevs)));
      if (!ids.insert(plan.nics.back().config.id).second)
        return fail("Duplicate device ID '{}'", plan.nics.back().config.id);
    } else if (driver == "isa-serial") {
      if (serial) return fail("this machine has one serial port: a second -device isa-serial has no place");
      serial = TRY(parse_isa_serial(std::move(options), type));
      if (!ids.insert(serial->id).second) return fail("Duplicate device ID '{}'", serial->id);
    } else {
      return std::unexpected(
          Error(fmt::format("'{}' is not a valid device model name", driver)).remedy("-device help lists them"));
    }
  }
  for (const auto& netdev : netdevs) {
    if (netdev)
      return fail("netdev '{}' is used by no device: add -device virtio-net-pci,netdev={}", netdev->id(), netdev->id());
  }
  if (config.serials.size() + (serial ? 1 : 0) > 1) return fail("this machine has one serial port, more are asked for");
  if (!serial) {
    serial = SerialOptions{.chardev = config.serials.empty() ? "" : config.serials.front(),
                           .backend_transfer = transfer_default(type, "isa-serial")};
  }
  plan.serial = TRY(create_serial(config, *serial, named_fds, loop));
  return plan;
}

}  // namespace pagurus::machine
