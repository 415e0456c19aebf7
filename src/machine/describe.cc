// What can be told without building a machine.
#include "machine/machine.h"
#include "machine/machine_type.h"

namespace pagurus::machine {

std::vector<MachineTypeInfo> machine_types() {
  std::vector<MachineTypeInfo> infos;
  for (const MachineType& type : all_machine_types()) {
    bool is_default = type.name == default_machine_type();
    infos.push_back({type.name, fmt::format("{}{}", type.description, is_default ? " (default)" : "")});
  }
  return infos;
}

}  // namespace pagurus::machine
