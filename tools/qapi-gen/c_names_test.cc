#include "c_names.h"

#include <gtest/gtest.h>

namespace pagurus::qapi_gen {
namespace {

TEST(CppNames, members_are_snake_case_and_no_keywords) {
  EXPECT_EQ(cpp_name("backend-transfer"), "backend_transfer");
  EXPECT_EQ(cpp_name("default"), "default_");
  // The compiler defines these two for Linux.
  EXPECT_EQ(cpp_name("unix"), "unix_");
  EXPECT_EQ(cpp_name("linux"), "linux_");
  EXPECT_EQ(cpp_name("__org.example_x"), "__org_example_x");
  EXPECT_EQ(cpp_name("9p"), "_9p");
}

TEST(CppNames, types_of_arguments_are_camel_case) {
  EXPECT_EQ(camel_name("migrate-set-parameters"), "MigrateSetParameters");
  EXPECT_EQ(camel_name("set_link"), "SetLink");
  EXPECT_EQ(camel_name("MIGRATION_PASS"), "MigrationPass");
}

TEST(CppNames, values_of_enums_stay_apart) {
  EXPECT_EQ(enumerator("light-blue"), "kLightBlue");
  EXPECT_EQ(enumerator("v1-10"), "kV1_10");
  EXPECT_EQ(enumerator("v11-0"), "kV11_0");
  EXPECT_EQ(enumerator("APIC"), "kAPIC");
}

TEST(CppNames, text_is_escaped) { EXPECT_EQ(cpp_string("a\"b\\c\nd"), R"("a\"b\\c\nd")"); }

}  // namespace
}  // namespace pagurus::qapi_gen
