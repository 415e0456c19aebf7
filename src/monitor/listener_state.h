// The state of a QMP listener as it moves.
#pragma once

#include <string>

#include "vmstate/description.h"

namespace pagurus::monitor {

struct ListenerState {
  std::string path;  // empty: the source does not own its path
  vmstate::Fd socket;
  static const vmstate::Description& description();
};

}  // namespace pagurus::monitor
