#include "machine/machine_type.h"

#include <algorithm>
#include <array>

namespace pagurus::machine {
namespace {

// What differs from the newest type: in all that are older than pagurus-1.2, then in pagurus-1.0 alone.
constexpr std::array kCompat = {
    CompatProperty{"pci", "hotplug", false},
    CompatProperty{"virtio-net-pci", "ctrl_vq", false},
    CompatProperty{"virtio-net-pci", "ctrl_rx", false},
    CompatProperty{"virtio-net-pci", "ctrl_rx_extra", false},
    CompatProperty{"virtio-net-pci", "ctrl_vlan", false},
    CompatProperty{"virtio-net-pci", "ctrl_mac_addr", false},
    CompatProperty{"virtio-net-pci", "ctrl_guest_offloads", false},
    CompatProperty{"virtio-net-pci", "host_uso", false},
    CompatProperty{"virtio-net-pci", "guest_uso4", false},
    CompatProperty{"virtio-net-pci", "guest_uso6", false},
    CompatProperty{"virtio-net-pci", "counters-move", false},
    CompatProperty{"virtio-net-pci", "backend-transfer", false},
    CompatProperty{"isa-serial", "backend-transfer", false},
};
constexpr std::span<const CompatProperty> kCompat10 = kCompat;
constexpr std::span<const CompatProperty> kCompat11 = kCompat10.first(11);

// Declarations that have become younger since; in every type older than the change.
#ifdef PAGURUS_VARIANT
constexpr std::array kVersions12 = {StateVersion{"machine", 1}};
constexpr std::string_view kDefaultType = "pagurus-1.0";
#else
constexpr std::array<StateVersion, 0> kVersions12 = {};
constexpr std::string_view kDefaultType = "pagurus-1.2";
#endif

constexpr std::array kTypes = {
    MachineType{"pagurus-1.2", "PCI, virtio 1.2, ACPI; devices hand over their back ends", {}, kVersions12},
    MachineType{"pagurus-1.1", "as pagurus-1.2, without what virtio-net and PCI have learned since", kCompat11,
                kVersions12},
    MachineType{"pagurus-1.0", "as pagurus-1.1, but backend-transfer of devices is off unless set", kCompat10,
                kVersions12},
};

}  // namespace

bool MachineType::default_of(std::string_view driver, std::string_view property, bool newest) const {
  auto found = std::ranges::find_if(
      compat, [&](const CompatProperty& entry) { return entry.driver == driver && entry.property == property; });
  return found == compat.end() ? newest : found->value;
}

uint16_t MachineType::version_of(const vmstate::Description& declaration) const {
  auto found = std::ranges::find(versions, declaration.name, &StateVersion::declaration);
  return found == versions.end() ? declaration.version : found->version;
}

std::span<const MachineType> all_machine_types() { return kTypes; }

std::string_view default_machine_type() { return kDefaultType; }

Result<const MachineType*> find_machine_type(std::string_view name) {
  auto found = std::ranges::find(kTypes, name, &MachineType::name);
  if (found == kTypes.end()) {
    return std::unexpected(
        Error(fmt::format("machine type '{}' is not supported", name)).remedy("-machine help lists them"));
  }
  return &*found;
}

}  // namespace pagurus::machine
