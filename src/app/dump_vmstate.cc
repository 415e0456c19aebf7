#include "app/dump_vmstate.h"

#include "app/declarations.h"
#include "machine/machine_type.h"
#include "vmstate/json.h"

namespace pagurus::app {
namespace {

template <class... States>
std::string list(Declared<States...>, const machine::MachineType& type) {
  std::string text;
  for (const vmstate::Description* declaration : {&States::description()...}) {
    text += fmt::format("{}\n    {}", text.empty() ? "" : ",",
                        vmstate::to_json(*declaration, type.version_of(*declaration), 2));
  }
  return text;
}

}  // namespace

Result<std::string> dump_vmstate(const std::string& machine_type) {
  const machine::MachineType* type = TRY(machine::find_machine_type(machine_type));
  std::string compat;
  for (const machine::CompatProperty& entry : type->compat) {
    compat += fmt::format("{}\n    {{\"driver\": \"{}\", \"property\": \"{}\", \"value\": {}}}",
                          compat.empty() ? "" : ",", entry.driver, entry.property, entry.value);
  }
  return fmt::format(
      "{{\n  \"machine-type\": \"{}\",\n  \"compat-properties\": [{}\n  ],\n  \"declarations\": [{}\n  ],\n"
      "  \"messages\": [{}\n  ]\n}}",
      type->name, compat, list(DeclaredSections(), *type), list(DeclaredMessages(), *type));
}

}  // namespace pagurus::app
