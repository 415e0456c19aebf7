#include "kvm/system.h"

#include <gtest/gtest.h>

namespace pagurus::kvm {
namespace {

TEST(System, a_missing_device_names_the_remedy) {
  auto system = System::open("/nonexistent/kvm");
  ASSERT_FALSE(system);
  EXPECT_NE(system.error().message().find("load the module"), std::string::npos) << system.error().message();
}

TEST(System, another_device_is_told_apart) {
  auto system = System::open("/dev/null");
  ASSERT_FALSE(system);
  EXPECT_EQ(system.error().message(), "'/dev/null' is not a KVM device");
}

}  // namespace
}  // namespace pagurus::kvm
