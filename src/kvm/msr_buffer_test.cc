#include "kvm/msr_buffer.h"

#include <gmock/gmock.h>

#include <set>

namespace pagurus::kvm {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<kvm_msr_entry> msrs(uint32_t begin, uint32_t end) {
  std::vector<kvm_msr_entry> made;
  for (uint32_t index = begin; index < end; ++index) made.push_back({.index = index, .reserved = 0, .data = 0});
  return made;
}

// A KVM that knows all MSRs but some, and reads 100 more than its index from each.
struct FakeKvm {
  Result<int> operator()(MsrBuffer& buffer) {
    ++calls;
    EXPECT_LE(buffer.count, kMostMsrsAtOnce);
    for (uint32_t i = 0; i < buffer.count; ++i) {
      if (refused.contains(buffer.entries[i].index)) return static_cast<int>(i);
      buffer.entries[i].data = buffer.entries[i].index + 100;
    }
    return static_cast<int>(buffer.count);
  }

  std::set<uint32_t> refused;
  int calls = 0;
};

std::vector<uint32_t> indices(const std::vector<kvm_msr_entry>& entries) {
  std::vector<uint32_t> found;
  for (const kvm_msr_entry& entry : entries) {
    EXPECT_EQ(entry.data, entry.index + 100);
    found.push_back(entry.index);
  }
  return found;
}

TEST(TakenMsrs, all_are_taken_in_one_call) {
  FakeKvm kvm;
  EXPECT_THAT(indices(*taken_msrs(msrs(0, 4), std::ref(kvm))), ElementsAre(0, 1, 2, 3));
  EXPECT_EQ(kvm.calls, 1);
}

TEST(TakenMsrs, refused_ones_are_left_out_wherever_they_are) {
  FakeKvm kvm{.refused = {0, 3, 4, 7}};
  EXPECT_THAT(indices(*taken_msrs(msrs(0, 8), std::ref(kvm))), ElementsAre(1, 2, 5, 6));
  kvm.refused = {0, 1, 2};
  EXPECT_THAT(*taken_msrs(msrs(0, 3), std::ref(kvm)), IsEmpty());
}

TEST(TakenMsrs, more_than_a_call_takes_are_asked_for_in_several) {
  FakeKvm kvm{.refused = {254, 255, 599}};
  EXPECT_EQ(indices(*taken_msrs(msrs(0, 600), std::ref(kvm))).size(), 597u);
}

TEST(TakenMsrs, a_call_that_fails_is_told) {
  auto failing = [](MsrBuffer&) -> Result<int> { return fail("no such vCPU"); };
  EXPECT_EQ(taken_msrs(msrs(0, 1), failing).error().message(), "no such vCPU");
}

}  // namespace
}  // namespace pagurus::kvm
