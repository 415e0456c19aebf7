#include "migration/manifest.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace pagurus::migration {
namespace {

wire::Hello sample() {
  wire::Hello hello;
  hello.vmm_version = "1.1.0";
  hello.backend_transfer = true;
  hello.facts = {{"machine type", "pagurus-1.1"}, {"RAM size", "256 MiB"}};
  hello.sections = {{"machine", "machine/1{}", 1}, {"serial0", "uart/1{}", 1}};
  hello.backends = {{"netdev n0", "virtio-net-tap", "tap", "tap/1{}", true},
                    {"console serial0", "isa-serial-stdio", "stdio", "stdio/1{}", true}};
  return hello;
}

std::string refusal(const wire::Hello& source, const wire::Hello& destination) {
  auto result = compare(source, destination);
  return result ? "accepted" : result.error().message();
}

TEST(Manifest, equal_machines_agree_on_what_is_transferred) {
  auto agreement = compare(sample(), sample());
  ASSERT_TRUE(agreement.has_value());
  EXPECT_EQ(agreement->transfer, (std::set<std::string>{"console serial0", "netdev n0"}));
  EXPECT_TRUE(agreement->unknown_sections.empty());
}

TEST(Manifest, a_device_without_the_property_keeps_its_back_end) {
  wire::Hello hello = sample();
  hello.backends[1].takes_part = false;
  EXPECT_EQ(compare(hello, hello)->transfer, std::set<std::string>{"netdev n0"});
}

TEST(Manifest, targets_limit_what_is_transferred) {
  wire::Hello hello = sample();
  hello.targets = {"virtio-net-tap"};
  EXPECT_EQ(compare(hello, hello)->transfer, std::set<std::string>{"netdev n0"});
}

TEST(Manifest, different_targets_are_refused_in_words) {
  wire::Hello limited = sample();
  limited.targets = {"virtio-net-tap"};
  EXPECT_EQ(refusal(sample(), limited),
            "migration parameter 'backend-transfer' is 'on' on the source and 'virtio-net-tap' on the destination: set "
            "the same with migrate-set-parameters on both");
}

TEST(Manifest, without_the_parameter_nothing_is_transferred) {
  wire::Hello hello = sample();
  hello.backend_transfer = false;
  EXPECT_TRUE(compare(hello, hello)->transfer.empty());
}

TEST(Manifest, the_version_of_the_vmm_is_not_compared) {
  wire::Hello newer = sample();
  newer.vmm_version = "9.9";
  EXPECT_TRUE(compare(sample(), newer).has_value());
}

TEST(Manifest, a_parameter_set_on_one_side_only_is_refused_in_words) {
  wire::Hello off = sample();
  off.backend_transfer = false;
  EXPECT_EQ(refusal(sample(), off),
            "migration parameter 'backend-transfer' is set on the source but not on the destination: set it with "
            "migrate-set-parameters on both");
  EXPECT_NE(refusal(off, sample()).find("set on the destination but not on the source"), std::string::npos);
}

TEST(Manifest, the_first_difference_is_named) {
  wire::Hello other = sample();
  other.facts[1].value = "512 MiB";
  EXPECT_EQ(refusal(sample(), other),
            "property 'RAM size' differs: the source has '256 MiB', this destination '512 MiB'");
  other = sample();
  other.facts.push_back({"device at 00:01.0", "virtio-net-pci"});
  EXPECT_EQ(refusal(sample(), other), "this destination has property 'device at 00:01.0', which the source lacks");
  EXPECT_EQ(refusal(other, sample()), "the source has property 'device at 00:01.0', which this destination lacks");
  other = sample();
  other.sections[1].signature = "uart/2{}";
  EXPECT_EQ(refusal(sample(), other),
            "state section 'serial0' differs: the source has 'uart/1{}', this destination 'uart/2{}'");
  other = sample();
  other.backends[0].takes_part = false;
  EXPECT_EQ(
      refusal(sample(), other),
      "back end 'netdev n0' differs: the source has 'backend-transfer=on', this destination 'backend-transfer=off'");
  other = sample();
  other.backends[0].kind = "stream";
  EXPECT_EQ(refusal(sample(), other), "netdev n0: the source has kind 'tap', this destination 'stream'");
}

TEST(Manifest, back_ends_may_come_in_any_order) {
  wire::Hello other = sample();
  std::ranges::reverse(other.backends);
  auto agreement = compare(sample(), other);
  ASSERT_TRUE(agreement.has_value());
  EXPECT_EQ(agreement->transfer, (std::set<std::string>{"console serial0", "netdev n0"}));
  other.backends[1] = other.backends[0];
  EXPECT_NE(refusal(other, sample()), "accepted");
  EXPECT_NE(refusal(sample(), other), "accepted");
}

TEST(Manifest, a_back_end_that_stays_may_be_of_another_kind) {
  wire::Hello source = sample();
  source.backends[1].takes_part = false;
  wire::Hello other = source;
  other.backends[1].kind = "null";
  EXPECT_TRUE(compare(source, other).has_value());
}

TEST(Manifest, a_required_section_that_one_side_lacks_is_refused) {
  wire::Hello more = sample();
  more.sections.push_back({"rng", "rng/1{}", 1, true});
  EXPECT_EQ(refusal(more, sample()), "the source has state section 'rng', which this destination lacks");
  EXPECT_EQ(refusal(sample(), more), "this destination has state section 'rng', which the source lacks");
}

TEST(Manifest, an_optional_section_that_one_side_lacks_is_passed_over) {
  wire::Hello more = sample();
  more.sections.insert(more.sections.begin(), {"note", "note/1{}", 1, false});
  auto agreement = compare(more, sample());
  ASSERT_TRUE(agreement.has_value()) << agreement.error().message();
  EXPECT_EQ(agreement->unknown_sections, std::vector<std::string>{"note"});
  agreement = compare(sample(), more);
  ASSERT_TRUE(agreement.has_value()) << agreement.error().message();
  EXPECT_TRUE(agreement->unknown_sections.empty());
}

TEST(Manifest, a_destination_may_pass_over_optional_sections_only) {
  std::vector<machine::SectionInfo> sections{{.name = "machine", .signature = "machine/1{}"},
                                             {.name = "note", .signature = "note/1{}", .required = false}};
  EXPECT_TRUE(check_passed_over(sections, {"note"}).has_value());
  for (const char* name : {"machine", "unheard-of"}) {
    auto checked = check_passed_over(sections, {"note", name});
    ASSERT_FALSE(checked.has_value());
    EXPECT_NE(checked.error().message().find(name), std::string::npos);
  }
}

TEST(Manifest, sections_are_found_by_name_in_any_order) {
  wire::Hello other = sample();
  std::swap(other.sections[0], other.sections[1]);
  EXPECT_EQ(refusal(sample(), other), "accepted");
  other.sections.push_back(other.sections[0]);
  EXPECT_EQ(refusal(other, sample()), "the source has state section 'serial0' twice");
}

TEST(Manifest, another_version_of_a_section_is_refused_with_both_versions) {
  wire::Hello newer = sample();
  newer.sections[1] = {"serial0", "uart/2{}", 2};
  EXPECT_EQ(
      refusal(newer, sample()),
      "state section 'serial0' has version 2 in the source, and this destination knows version 1 for this machine "
      "type");
  // Optional or not: what both know must fit.
  newer.sections[1].required = false;
  EXPECT_NE(refusal(newer, sample()), "accepted");
}

TEST(Manifest, a_copied_guest_may_have_other_pages_and_leaves_its_back_ends) {
  wire::Hello source = sample();
  source.facts.push_back({machine::kRamPageSizeFact, "4 KiB"});
  wire::Hello other = sample();
  other.facts.push_back({machine::kRamPageSizeFact, "2 MiB"});
  EXPECT_EQ(refusal(source, other),
            "property 'RAM page size' differs: the source has '4 KiB', this destination '2 MiB'");
  source.mode = wire::Mode::kCopy;
  other.backends[0].kind = "stream";
  auto agreement = compare(source, other);
  ASSERT_TRUE(agreement.has_value()) << agreement.error().message();
  EXPECT_TRUE(agreement->transfer.empty());
  other.facts[1].value = "512 MiB";
  EXPECT_NE(refusal(source, other).find("RAM size"), std::string::npos);
}

}  // namespace
}  // namespace pagurus::migration
