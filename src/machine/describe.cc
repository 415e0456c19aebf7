// What can be told without building a machine: machine types, devices, state declarations.
#include "chardev/socket_backend.h"
#include "chardev/stream_backend.h"
#include "device/power/power_control.h"
#include "device/serial/uart_state.h"
#include "device/virtio_net/state.h"
#include "kvm/vcpu_state.h"
#include "kvm/vm_state.h"
#include "machine/machine.h"
#include "machine/machine_impl.h"
#include "machine/machine_type.h"
#include "net/tap.h"
#include "pci/bus.h"
#include "virtio/transport_state.h"
#include "vmstate/json.h"

namespace pagurus::machine {
namespace {

struct Property {
  std::string_view name;
  std::string_view type;
  std::string_view meaning;
};

constexpr Property kNetProperties[] = {
    {"netdev", "string", "id of the network back end; required"},
    {"id", "string", "name of the device; default nic0, nic1, ..."},
    {"addr", "slot", "PCI slot, hexadecimal, 1 to 1f; default: the lowest free one"},
    {"mac", "MAC address", "default 52:54:00:12:34:56 and upward"},
    {"host_mtu", "uint16", "MTU told to the guest; 0: none (default)"},
    {"mrg_rxbuf", "on|off", "mergeable receive buffers; default on"},
    {"event_idx", "on|off", "EVENT_IDX; default on"},
    {"indirect_desc", "on|off", "indirect descriptors; default on"},
    {"csum", "on|off", "the guest may leave checksums to the host; default on"},
    {"guest_csum", "on|off", "the guest takes packets without checksum; default on"},
    {"host_tso4, host_tso6, host_ecn", "on|off", "the guest may send large segments; default on"},
    {"guest_tso4, guest_tso6, guest_ecn", "on|off", "the guest takes large segments; default on"},
    {"guest_announce", "on|off", "link announcement by the guest; default on"},
    {"rx_queue_size", "uint16", "256 (default), 512 or 1024"},
    {"tx_queue_size", "uint16", "256 (default), 512 or 1024"},
    {"backend-transfer", "on|off", "hand the back end over; default on, off in pagurus-1.0"},
};

constexpr Property kSerialProperties[] = {
    {"chardev", "string", "id of the character back end; required"},
    {"id", "string", "name of the device; default serial0"},
    {"backend-transfer", "on|off", "hand the back end over; default on, off in pagurus-1.0"},
};

std::string list_properties(std::string_view driver, std::span<const Property> properties) {
  std::string text = fmt::format("{} options:\n", driver);
  for (const Property& property : properties) {
    text += fmt::format("  {}=<{}>\n        {}\n", property.name, property.type, property.meaning);
  }
  return text;
}

}  // namespace

std::vector<MachineTypeInfo> machine_types() {
  std::vector<MachineTypeInfo> infos;
  for (const MachineType& type : all_machine_types()) infos.push_back({type.name, type.description});
  return infos;
}

std::string device_help(std::string_view driver) {
  if (driver == "virtio-net-pci") return list_properties(driver, kNetProperties);
  if (driver == "isa-serial") return list_properties(driver, kSerialProperties);
  return "Network devices:\nname \"virtio-net-pci\", bus PCI, desc \"virtio 1.2 network device\"\n\n"
         "Input/output devices:\nname \"isa-serial\", bus ISA, desc \"16550A serial port\"\n";
}

Result<std::string> dump_vmstate(const std::string& machine_type) {
  const MachineType* type = TRY(find_machine_type(machine_type));
  const vmstate::Description* const declarations[] = {
      &MachineState::description(),           &kvm::VcpuStates::description(),
      &kvm::VmState::description(),           &pci::PciBusState::description(),
      &device::UartState::description(),      &device::PowerState::description(),
      &pci::PciFunctionState::description(),  &virtio::TransportState::description(),
      &device::VirtioNetState::description(), &net::tap_state_description(),
      &chardev::StreamState::description(),   &chardev::SocketState::description(),
  };
  std::string text = fmt::format("{{\n  \"machine-type\": \"{}\",\n  \"compat-properties\": [", type->name);
  const char* separator = "";
  for (const CompatProperty& entry : type->compat) {
    text += fmt::format("{}\n    {{\"driver\": \"{}\", \"property\": \"{}\", \"value\": {}}}", separator, entry.driver,
                        entry.property, entry.value);
    separator = ",";
  }
  text += "\n  ],\n  \"declarations\": [";
  separator = "";
  for (const vmstate::Description* declaration : declarations) {
    text += fmt::format("{}\n    {}", separator, vmstate::to_json(*declaration, 2));
    separator = ",";
  }
  return text + "\n  ]\n}";
}

}  // namespace pagurus::machine
