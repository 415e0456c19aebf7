#include "virtio/descriptor_chain.h"

#include <algorithm>

namespace pagurus::virtio {

RingResult<const uint8_t*> indirect_table(const memory::GuestMemory& memory, uint64_t address, uint32_t length) {
  constexpr uint32_t kDescriptorBytes = 16;
  if (length == 0 || length % kDescriptorBytes != 0) {
    return broken("an indirect table that is not a whole number of descriptors");
  }
  const uint8_t* host = memory.slice({address}, length);
  if (host == nullptr) return broken("an indirect table outside RAM");
  return host;
}

void note_written(const memory::GuestMemory& memory, const DescriptorChain& chain, uint64_t bytes) {
  for (const iovec& buffer : chain.writable()) {
    if (bytes == 0) return;
    uint64_t part = std::min<uint64_t>(bytes, buffer.iov_len);
    memory.note_written(buffer.iov_base, part);
    bytes -= part;
  }
}

}  // namespace pagurus::virtio
