// Machine types and their compat properties: what a guest sees, and what its stream holds, is
// decided by the machine type it was started with, not by the age of the binary.
//
// A new version changes a default, or the version of a state's declaration, only in a new machine type; the
// older ones keep the former one as a row of the table in machine_type.cc.
#pragma once

#include <span>
#include <string_view>

#include "base/result.h"
#include "vmstate/description.h"

namespace pagurus::machine {

struct CompatProperty {
  std::string_view driver;    // "virtio-net-pci"
  std::string_view property;  // "backend-transfer"
  bool value;
};

// The version in which a state is written, where it is not the newest that its declaration has.
struct StateVersion {
  std::string_view declaration;  // "uart-16550"
  uint16_t version;
};

struct MachineType {
  std::string_view name;
  std::string_view description;
  std::span<const CompatProperty> compat;  // differences from the newest type
  std::span<const StateVersion> versions;

  // The default of a device's on/off property in this machine type.
  bool default_of(std::string_view driver, std::string_view property, bool newest) const;
  // The version in which a state with this declaration is written.
  uint16_t version_of(const vmstate::Description& declaration) const;
};

// Newest first.
std::span<const MachineType> all_machine_types();
Result<const MachineType*> find_machine_type(std::string_view name);
// The type of a machine for which none is named.
std::string_view default_machine_type();

}  // namespace pagurus::machine
