// The state of the machine as a whole: what no device holds.
#pragma once

#include <cstdint>

#include "vmstate/description.h"

namespace pagurus::machine {

// What the guest has asked for and the control thread has not yet carried out; part of the state,
// so that a power-off in the last instant before a hand-over happens on the other side.
enum class GuestRequest : uint8_t { kNone = 0, kReset = 1, kPowerOff = 2 };

struct MachineState {
  GuestRequest request = GuestRequest::kNone;
#ifdef PAGURUS_VARIANT
  // As VariantNote has it, once as an optional field and once as a field of a younger version.
  uint64_t optional_handovers = 0;
  uint64_t younger_handovers = 0;
#endif
  static const vmstate::Description& description();
};

}  // namespace pagurus::machine
