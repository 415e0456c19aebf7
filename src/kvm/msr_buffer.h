// Several MSRs in one call of KVM.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "kvm/kvm_api.h"
#include "kvm/vcpu_state.h"

namespace pagurus::kvm {

// kvm_msrs, with room.
struct MsrBuffer {
  uint32_t count;
  uint32_t padding = 0;
  kvm_msr_entry entries[kMaxMsrs];
};
static_assert(offsetof(MsrBuffer, entries) == sizeof(kvm_msrs));

// What KVM takes in one call (MAX_IO_MSRS is 256, and refused).
inline constexpr size_t kMostMsrsAtOnce = 255;

// Those of `wanted` that KVM takes.  `call` has it do a whole buffer and returns what the ioctl does: how many it has
// done, in their order, before the first that it refuses.
template <typename Call>
Result<std::vector<kvm_msr_entry>> taken_msrs(std::span<const kvm_msr_entry> wanted, Call call) {
  std::vector<kvm_msr_entry> taken;
  while (!wanted.empty()) {
    auto some = wanted.first(std::min(wanted.size(), kMostMsrsAtOnce));
    MsrBuffer buffer;
    buffer.count = static_cast<uint32_t>(some.size());
    std::ranges::copy(some, buffer.entries);
    auto done = static_cast<size_t>(TRY(call(buffer)));
    taken.insert(taken.end(), buffer.entries, buffer.entries + done);
    bool refused = done < some.size();
    wanted = wanted.subspan(done + (refused ? 1 : 0));
  }
  return taken;
}

}  // namespace pagurus::kvm
