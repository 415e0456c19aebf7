#include "kvm/cpuid.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace pagurus::kvm {
namespace {

const std::vector<CpuidEntry> kSupported = {
    {.function = 0, .eax = 0x1f},
    {.function = 1, .ebx = 0xff000000, .ecx = 1u << 5 | 1u << 27, .edx = 1},
    {.function = 4, .index = 0, .flags = 1, .eax = 0xfc000121},
    {.function = 4, .index = 3, .flags = 1, .eax = 0x0ffc163},
    {.function = 7, .flags = 1, .ebx = 1u << 2 | 1u << 16},
    {.function = 0xa, .eax = 0x07300402},
    {.function = 0xb, .index = 1, .flags = 1, .eax = 7, .ebx = 96},
    {.function = 0x80000001, .ecx = 1u << 2 | 1u << 1 | 1u},
    {.function = 0x80000008, .ebx = 1, .ecx = 0x7f},
    {.function = 0x8000001e, .eax = 99, .ebx = 0x163},
};

const CpuidEntry& leaf(const std::vector<CpuidEntry>& entries, uint32_t function, uint32_t index = 0) {
  auto at = std::ranges::find_if(entries, [=](auto& e) { return e.function == function && e.index == index; });
  EXPECT_NE(at, entries.end()) << std::hex << function;
  return *at;
}

TEST(HostCpuid, shows_cores_of_one_socket) {
  auto entries = host_cpuid(kSupported, {.id = 2, .count = 3}, {});
  EXPECT_EQ(leaf(entries, 1).ebx >> 16, 0x0203u);
  EXPECT_NE(leaf(entries, 1).edx & 1u << 28, 0u);
  EXPECT_EQ(leaf(entries, 4, 0).eax >> 14, 3u << 12) << "a first-level cache belongs to one of four cores";
  EXPECT_EQ(leaf(entries, 4, 3).eax >> 14, 3u << 12 | 3u) << "the last level is shared by four ids";
  for (uint32_t function : {0xbu, 0x1fu}) {
    EXPECT_EQ(leaf(entries, function, 0), (CpuidEntry{function, 0, 1, 0, 1, 0x100, 2}));
    EXPECT_EQ(leaf(entries, function, 1), (CpuidEntry{function, 1, 1, 2, 3, 0x201, 2}));
    EXPECT_EQ(leaf(entries, function, 2).ebx, 0u);
  }
  EXPECT_EQ(leaf(entries, 0x80000008).ecx, 0x2002u);
  EXPECT_EQ(leaf(entries, 0x8000001e).eax, 2u);
  EXPECT_EQ(leaf(entries, 0x8000001e).ebx, 2u);
}

TEST(HostCpuid, a_single_vcpu_has_no_siblings) {
  auto entries = host_cpuid(kSupported, {.id = 0, .count = 1}, {});
  EXPECT_EQ(leaf(entries, 1).edx & 1u << 28, 0u);
  EXPECT_EQ(leaf(entries, 0x80000001).ecx, 1u);
  EXPECT_EQ(leaf(entries, 0xb, 1), (CpuidEntry{0xb, 1, 1, 0, 1, 0x201, 0}));
}

TEST(HostCpuid, offers_only_what_a_hand_over_carries) {
  auto entries = host_cpuid(kSupported, {}, {.tsc_deadline = true});
  EXPECT_EQ(leaf(entries, 1).ecx, 1u << 31 | 1u << 24 | 1u << 21) << "hypervisor, TSC deadline, x2APIC; no VMX";
  EXPECT_EQ(leaf(host_cpuid(kSupported, {}, {}), 1).ecx & 1u << 24, 0u);
  EXPECT_EQ(leaf(entries, 7).ebx, 1u << 16) << "no SGX";
  EXPECT_EQ(leaf(entries, 0xa).eax, 0u) << "no performance counters";
  EXPECT_EQ(leaf(entries, 0x80000001).ecx & 1u << 2, 0u) << "no SVM";
}

TEST(CheckCpuid, accepts_less_than_is_offered) {
  auto offered = host_cpuid(kSupported, {}, {.tsc_deadline = true});
  EXPECT_TRUE(check_cpuid(offered, offered));
  auto wanted = offered;
  for (auto& entry : wanted) {
    if (entry.function == 7) entry.ebx = 0;
  }
  EXPECT_TRUE(check_cpuid(wanted, offered));
}

TEST(CheckCpuid, names_the_feature_that_is_missing) {
  auto offered = host_cpuid(kSupported, {}, {});
  auto wanted = offered;
  for (auto& entry : wanted) {
    if (entry.function == 7) entry.ebx |= 1u << 30;
  }
  auto checked = check_cpuid(wanted, offered);
  ASSERT_FALSE(checked);
  EXPECT_NE(checked.error().message().find("CPUID 0x7.0 EBX bit 30"), std::string::npos) << checked.error().message();
  wanted = offered;
  wanted.push_back({.function = 0x80000021, .eax = 1});
  EXPECT_FALSE(check_cpuid(wanted, offered)) << "a leaf that is not offered has no bits";
}

}  // namespace
}  // namespace pagurus::kvm
