#include "migration/manifest_query.h"

#include <algorithm>

#include "migration/manifest.h"

namespace pagurus::migration {

Result<wire::Hello> query_manifest(const machine::Handover& machine, const Settings& settings,
                                   std::span<const Extra> extras) {
  TRY(machine.check_guest());
  TRY(check_movable(machine, settings.parameters));
  std::vector<std::string> names;
  for (const Extra& extra : extras) names.push_back(extra.name);
  wire::Hello hello = make_hello(machine, settings.parameters, std::move(names));
  hello.waits_before_state = settings.capabilities.pause_before_switchover;
  return hello;
}

Result<wire::Welcome> answer_manifest(const wire::Hello& hello, const machine::Handover& machine,
                                      const Settings& settings, std::span<const Extra> extras) {
  auto agreement = TRY(compare(hello, make_hello(machine, settings.parameters, {})));
  TRY(check_announced(machine, settings, agreement.transfer));
  for (const Extra& extra : extras) {
    if (std::ranges::count(hello.extras, extra.name) == 0) {
      return fail("{} is in use by a process that is not the source", extra.name);
    }
    agreement.transfer.insert(extra.name);
  }
  return wire::Welcome{.vmm_version = vmm_version(),
                       .wanted = {agreement.transfer.begin(), agreement.transfer.end()},
                       .unknown = std::move(agreement.unknown_sections)};
}

}  // namespace pagurus::migration
