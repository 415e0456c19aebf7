// Machine types and their compat properties: what a guest sees, and what its stream holds, is
// decided by the machine type it was started with, not by the age of the binary.
//
// A new version changes a default only in a new machine type; the older ones keep the former value
// as a row of the table in machine_type.cc.
#pragma once

#include <span>
#include <string_view>

#include "base/result.h"

namespace pagurus::machine {

struct CompatProperty {
  std::string_view driver;    // "virtio-net-pci"
  std::string_view property;  // "backend-transfer"
  bool value;
};

struct MachineType {
  std::string_view name;
  std::string_view description;
  std::span<const CompatProperty> compat;  // differences from the newest type

  // The default of a device's on/off property in this machine type.
  bool default_of(std::string_view driver, std::string_view property, bool newest) const;
};

// Newest first.
std::span<const MachineType> all_machine_types();
Result<const MachineType*> find_machine_type(std::string_view name);

}  // namespace pagurus::machine
