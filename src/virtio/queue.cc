#include "virtio/queue.h"

namespace pagurus::virtio {

Result<uint8_t*> ring_area(const memory::GuestMemory& memory, const char* what, memory::GuestAddress base,
                           uint64_t bytes, uint64_t alignment) {
  if (base.value % alignment != 0) return fail("the {} at {:#x} is not aligned to {}", what, base.value, alignment);
  uint8_t* host = memory.slice(base, bytes);
  if (host == nullptr) return fail("the {} at {:#x} is not in RAM", what, base.value);
  return host;
}

Result<Queue> Queue::activate(const QueueConfig& config, uint16_t max_size, QueueFeatures features,
                              QueuePosition position, const memory::GuestMemory& memory) {
  if (config.size == 0 || config.size > max_size) {
    return fail("the queue size {} is not from 1 to {}", config.size, max_size);
  }
  if (features.packed) return Queue(memory, config, TRY(PackedRing::activate(config, features, position, memory)));
  return Queue(memory, config, TRY(SplitRing::activate(config, features, position, memory)));
}

RingResult<bool> Queue::pop_or_enable_kicks(DescriptorChain& chain) {
  bool popped = TRY(pop(chain));
  if (popped) return true;
  bool offered = TRY(enable_kicks());
  if (!offered) return false;
  disable_kicks();
  return pop(chain);
}

}  // namespace pagurus::virtio
