// What can be told without building a machine: machine types, state declarations.
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
std::vector<MachineTypeInfo> machine_types() {
  std::vector<MachineTypeInfo> infos;
  for (const MachineType& type : all_machine_types()) infos.push_back({type.name, type.description});
  return infos;
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
