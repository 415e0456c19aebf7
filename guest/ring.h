// What the two layouts of a ring, split and packed, have in common.
#pragma once

#include <cstdint>

namespace pagurus::guest {

enum class Direction : uint16_t { device_reads = 0, device_writes = 2 };

struct RingShape {
  uint16_t size;   // descriptors, a power of two
  bool event_idx;  // VIRTIO_F_EVENT_IDX was negotiated
};

struct Used {
  uint16_t descriptor;
  uint32_t length;
};

// A question to the device with room for its answer, by physical address: a chain of two descriptors.
struct Request {
  uint64_t question;
  uint32_t question_size;
  uint64_t answer;
  uint32_t answer_size;
};

// For those who want to stop when something arrives: the word changes then.
struct Watch {
  const volatile uint16_t* word;
  uint16_t unchanged;
};

}  // namespace pagurus::guest
