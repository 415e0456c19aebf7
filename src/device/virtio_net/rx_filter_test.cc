#include "device/virtio_net/rx_filter.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace pagurus::device {
namespace {

using Bytes = std::vector<uint8_t>;
using Start = std::array<uint8_t, RxFilter::kLooksAt>;

constexpr MacAddress kOwn{0x52, 0x54, 0, 0, 0, 1};
constexpr MacAddress kOther{0x52, 0x54, 0, 0, 0, 2};
constexpr MacAddress kGroup{0x33, 0x33, 0, 0, 0, 1};
constexpr MacAddress kEveryone{0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
enum Mode : uint8_t { kPromisc, kAllMulti, kAllUni, kNoMulti, kNoUni, kNoBroadcast };

Start frame_to(const MacAddress& to) {
  Start frame{};
  std::ranges::copy(to, frame.begin());
  return frame;
}

Start tagged(const MacAddress& to, uint16_t vlan) {
  Start frame = frame_to(to);
  frame[12] = 0x81;
  frame[14] = static_cast<uint8_t>(0xe0 | vlan >> 8);
  frame[15] = static_cast<uint8_t>(vlan);
  return frame;
}

Bytes table(const std::vector<MacAddress>& unicast, const std::vector<MacAddress>& multicast) {
  Bytes data;
  for (const auto* list : {&unicast, &multicast}) {
    for (unsigned i = 0; i < 4; ++i) data.push_back(static_cast<uint8_t>(list->size() >> 8 * i));
    for (const MacAddress& mac : *list) data.insert(data.end(), mac.begin(), mac.end());
  }
  return data;
}

struct RxFilterTest : ::testing::Test {
  RxFilterTest() { set(kPromisc, false); }
  void set(Mode mode, bool on) {
    EXPECT_EQ(filter.set_mode(mode, Bytes{static_cast<uint8_t>(on)}), ControlAnswer::kOk);
  }
  bool passes(const MacAddress& to) const { return filter.passes(frame_to(to)); }
  RxFilter filter{.mac = kOwn};
};

TEST_F(RxFilterTest, everything_passes_at_first) {
  RxFilter fresh;
  for (const MacAddress& to : {kOwn, kOther, kGroup, kEveryone}) EXPECT_TRUE(fresh.passes(tagged(to, 7)));
}

TEST_F(RxFilterTest, then_its_own_address_and_broadcasts) {
  EXPECT_TRUE(passes(kOwn));
  EXPECT_TRUE(passes(kEveryone));
  EXPECT_FALSE(passes(kOther));
  EXPECT_FALSE(passes(kGroup));
  EXPECT_EQ(filter.set_mac(kOther), ControlAnswer::kOk);
  EXPECT_TRUE(passes(kOther));
  EXPECT_FALSE(passes(kOwn));
}

TEST_F(RxFilterTest, modes_widen_and_narrow) {
  set(kAllMulti, true);
  EXPECT_TRUE(passes(kGroup));
  set(kNoMulti, true);
  EXPECT_FALSE(passes(kGroup)) << "narrowing wins";
  EXPECT_TRUE(passes(kEveryone)) << "a broadcast is no multicast";
  set(kNoBroadcast, true);
  EXPECT_FALSE(passes(kEveryone));
  set(kAllUni, true);
  EXPECT_TRUE(passes(kOther));
  set(kNoUni, true);
  EXPECT_FALSE(passes(kOwn));
  set(kPromisc, true);
  EXPECT_TRUE(passes(kOwn)) << "promiscuous means all";
}

TEST_F(RxFilterTest, a_table_names_addresses_of_both_kinds) {
  EXPECT_EQ(filter.set_mac_table(table({kOther}, {kGroup})), ControlAnswer::kOk);
  EXPECT_TRUE(passes(kOther) && passes(kGroup) && passes(kOwn));
  EXPECT_EQ(filter.set_mac_table(table({}, {})), ControlAnswer::kOk);
  EXPECT_FALSE(passes(kOther) || passes(kGroup));
}

TEST_F(RxFilterTest, a_table_that_is_too_large_lets_its_kind_pass) {
  std::vector<MacAddress> many(RxFilter::kMaxMacs + 1, kOther);
  EXPECT_EQ(filter.set_mac_table(table(many, {})), ControlAnswer::kOk);
  EXPECT_TRUE(passes({0x52, 0, 0, 0, 0, 9}));
  EXPECT_FALSE(passes(kGroup));
  EXPECT_TRUE(filter.unicast.empty());
  std::vector<MacAddress> half(RxFilter::kMaxMacs / 2 + 1, kGroup);
  EXPECT_EQ(filter.set_mac_table(table(half, half)), ControlAnswer::kOk);
  EXPECT_FALSE(passes({0x52, 0, 0, 0, 0, 9}));
  EXPECT_TRUE(passes({0x33, 0, 0, 0, 0, 9}));
}

TEST_F(RxFilterTest, vlans_are_looked_at_once_negotiated) {
  EXPECT_TRUE(filter.passes(tagged(kOwn, 5)));
  filter.checks_vlans = true;
  EXPECT_FALSE(filter.passes(tagged(kOwn, 5)));
  EXPECT_EQ(filter.add_vlan(Bytes{5, 0}), ControlAnswer::kOk);
  EXPECT_EQ(filter.add_vlan(Bytes{0xff, 0x0f}), ControlAnswer::kOk);
  EXPECT_TRUE(filter.passes(tagged(kOwn, 5)));
  EXPECT_TRUE(filter.passes(tagged(kOwn, 4095)));
  EXPECT_FALSE(filter.passes(tagged(kOther, 5)));
  EXPECT_EQ(filter.remove_vlan(Bytes{5, 0}), ControlAnswer::kOk);
  EXPECT_FALSE(filter.passes(tagged(kOwn, 5)));
  EXPECT_TRUE(passes(kOwn)) << "without a tag";
}

TEST_F(RxFilterTest, a_command_that_makes_no_sense_changes_nothing) {
  EXPECT_EQ(filter.set_mac_table(table({kOther}, {kGroup})), ControlAnswer::kOk);
  Bytes good = table({kOther}, {});
  for (size_t size = 0; size < good.size(); ++size) {
    EXPECT_EQ(filter.set_mac_table(std::span(good).first(size)), ControlAnswer::kError) << size;
  }
  good.push_back(0);
  EXPECT_EQ(filter.set_mac_table(good), ControlAnswer::kError) << "a byte too many";
  EXPECT_EQ(filter.set_mac_table(Bytes{0xff, 0xff, 0xff, 0xff}), ControlAnswer::kError) << "a huge count";
  EXPECT_EQ(filter.set_mac(Bytes(5)), ControlAnswer::kError);
  EXPECT_EQ(filter.set_mode(6, Bytes{1}), ControlAnswer::kError);
  EXPECT_EQ(filter.set_mode(kAllUni, Bytes{}), ControlAnswer::kError);
  EXPECT_EQ(filter.set_mode(kAllUni, Bytes{1, 1}), ControlAnswer::kError);
  EXPECT_EQ(filter.add_vlan(Bytes{0, 0x10}), ControlAnswer::kError) << "VLAN 4096";
  EXPECT_EQ(filter.remove_vlan(Bytes{1}), ControlAnswer::kError);
  EXPECT_TRUE(passes(kOther) && passes(kGroup) && passes(kOwn));
}

}  // namespace
}  // namespace pagurus::device
