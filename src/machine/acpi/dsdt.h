// The DSDT: the devices that nothing else announces.
#pragma once

#include "machine/acpi/aml.h"

namespace pagurus::machine {

// Whether the guest can be told of devices that come and go (device::PciHotplug).
enum class SlotHotplug { kNo, kYes };

// The byte code after the table's header.
aml::Bytes dsdt_code(SlotHotplug hotplug);

}  // namespace pagurus::machine
