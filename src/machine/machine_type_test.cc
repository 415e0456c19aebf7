#include "machine/machine_type.h"

#include <gtest/gtest.h>

namespace pagurus::machine {
namespace {

struct YoungState {
  uint8_t old = 1;
  uint8_t young = 2;
  static const vmstate::Description& description() {
    static constexpr auto kFields = std::array{
        vmstate::field<&YoungState::old>("old"),
        vmstate::field<&YoungState::young>("young", {.since = 3}),
    };
    static constexpr vmstate::Description kDescription{"young", 3, kFields};
    return kDescription;
  }
};

TEST(MachineType, the_newest_has_every_default_and_every_version) {
  const MachineType& newest = all_machine_types().front();
  EXPECT_TRUE(newest.default_of("virtio-net-pci", "backend-transfer", true));
  EXPECT_EQ(newest.version_of(YoungState::description()), 3);
}

TEST(MachineType, an_older_one_keeps_its_defaults) {
  auto old = find_machine_type("pagurus-1.0");
  ASSERT_TRUE(old.has_value());
  EXPECT_FALSE((*old)->default_of("virtio-net-pci", "backend-transfer", true));
}

TEST(MachineType, an_older_one_writes_the_bytes_it_always_wrote) {
  static constexpr std::array kVersions = {StateVersion{"other", 1}, StateVersion{"young", 2}};
  MachineType old{.name = "old", .description = "", .compat = {}, .versions = kVersions};
  ASSERT_EQ(old.version_of(YoungState::description()), 2);
  vmstate::Writer writer(old.version_of(YoungState::description()));
  vmstate::write_state(writer, YoungState{.old = 5, .young = 6});
  EXPECT_EQ(writer.bytes(), std::vector<uint8_t>{5});
  vmstate::Reader reader(writer.bytes(), {}, writer.version());
  auto state = vmstate::read_state<YoungState>(reader);
  ASSERT_TRUE(state.has_value());
  EXPECT_EQ(state->young, 2);
}

TEST(MachineType, the_default_is_one_of_them) { EXPECT_TRUE(find_machine_type(default_machine_type()).has_value()); }

}  // namespace
}  // namespace pagurus::machine
