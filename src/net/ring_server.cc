#include "net/ring_server.h"

namespace pagurus::net {

uint16_t used_index(const memory::GuestMemory& memory, const Ring& ring) {
  constexpr uint64_t kIndexAt = 2;
  auto used = memory.read_value<uint16_t>(ring.device + kIndexAt);
  CHECK(used, "rings that were started lie in RAM");
  return *used;
}

}  // namespace pagurus::net
