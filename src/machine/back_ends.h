// The host side of a machine: the back ends that -netdev and -chardev name, with the devices' ids
// resolved.  Which device uses which is checked here, before anything is opened.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/named_fds.h"
#include "chardev/chardev.h"
#include "device/virtio_net/config.h"
#include "event/loop.h"
#include "machine/acpi/dsdt.h"
#include "machine/config.h"
#include "machine/machine_type.h"
#include "net/netdev.h"

namespace pagurus::machine {

struct NicPlan {
  schema::DeviceOptions options;  // as given
  device::VirtioNetConfig config;
  std::unique_ptr<net::Backend> backend;
};

struct SerialPlan {
  std::string id = "serial0";
  std::string chardev;  // empty: nobody listens
  std::unique_ptr<chardev::Backend> backend;
  bool backend_transfer = true;
};

struct DevicePlan {
  std::vector<NicPlan> nics;
  SerialPlan serial;
  std::vector<std::unique_ptr<net::Backend>> netdevs;  // used by no device
  SlotHotplug hotplug = SlotHotplug::kNo;

  // Those of nics and netdevs.
  std::vector<net::Backend*> network() const;
};

// A back end takes part in hand-overs unless the machine type says otherwise.
bool transfer_default(const MachineType& type, std::string_view driver);

// Pending.  incoming: in a process that waits for a guest.
Result<std::unique_ptr<net::Backend>> plan_netdev(const schema::Netdev& options, bool incoming,
                                                  const net::NetdevParts& parts);

// That a vhost-user netdev has its chardev to itself, among others and the serial port.
Result<void> check_chardev(const schema::Netdev& netdev, std::span<const schema::Netdev> others,
                           const SerialPlan& serial);

// Takes the back end out of `netdevs`, unless it fails.  options: of a virtio-net-pci.  index: for what the options
// leave open, see VirtioNetConfig::Defaults.
Result<NicPlan> plan_nic(const schema::DeviceOptions& options, unsigned index, const MachineType& type,
                         std::vector<std::unique_ptr<net::Backend>>& netdevs);

// Of the configuration's netdevs, devices, chardevs and serials.  Every back end is pending.
Result<DevicePlan> plan_devices(const Config& config, const MachineType& type, const net::NetdevParts& parts);

}  // namespace pagurus::machine
