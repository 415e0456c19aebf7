// The host side of a machine: the back ends that -netdev and -chardev name, with the devices' ids
// resolved.  Which device uses which is checked here, before anything is opened.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/named_fds.h"
#include "chardev/chardev.h"
#include "device/virtio_net/config.h"
#include "event/loop.h"
#include "machine/config.h"
#include "machine/machine_type.h"
#include "net/netdev.h"

namespace pagurus::machine {

struct NicPlan {
  device::VirtioNetConfig config;
  std::unique_ptr<net::Backend> backend;
};

struct SerialPlan {
  std::string id = "serial0";
  std::unique_ptr<chardev::Backend> backend;
  bool backend_transfer = true;
};

struct DevicePlan {
  std::vector<NicPlan> nics;
  SerialPlan serial;
};

// Of the configuration's netdevs, devices, chardevs and serials.  Every back end is pending.
Result<DevicePlan> plan_devices(const Config& config, const MachineType& type, NamedFds& named_fds, event::Loop& loop);

}  // namespace pagurus::machine
