#include "machine/machine_state.h"

namespace pagurus::machine {

const vmstate::Description& MachineState::description() {
  static constexpr auto kFields = std::array{
      vmstate::field<&MachineState::request>("request", {.max = static_cast<uint64_t>(GuestRequest::kPowerOff)}),
#ifdef PAGURUS_VARIANT
      vmstate::field<&MachineState::optional_handovers>("optional-handovers", {.optional = true}),
      vmstate::field<&MachineState::younger_handovers>("younger-handovers", {.since = 2}),
#endif
  };
#ifdef PAGURUS_VARIANT
  static constexpr vmstate::Description kDescription{"machine", 2, kFields};
#else
  static constexpr vmstate::Description kDescription{"machine", 1, kFields};
#endif
  return kDescription;
}

}  // namespace pagurus::machine
