// What a source sends early for a TAP with vhost-net.
#pragma once

#include <string>
#include <vector>

#include "vmstate/description.h"

namespace pagurus::net {

// Open /dev/vhost-net that nobody owns, one per queue pair, for a destination that may not open it; none if
// the source may not either.
struct VhostNetEarlyState {
  std::vector<vmstate::Fd> devices;
  std::string reason;  // why there are none

  static const vmstate::Description& description();
};

}  // namespace pagurus::net
