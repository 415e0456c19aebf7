// What processes that run already write and read (tests/golden): the declarations of each machine type, and
// a stream of each declared state, in which nothing has its default value; without optional fields, so that it can stay
// for ever.
//
// PAGURUS_WRITE_GOLDEN=1 (`make golden`) writes the declarations anew and the streams that are missing; a
// stream that is there is never written again.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <set>

#include "app/dump_vmstate.h"
#include "app/testing/declared_states.h"
#include "machine/machine_type.h"

namespace pagurus::app::testing {
namespace {

namespace fs = std::filesystem;

constexpr const char* kAdvice =
    "\nProcesses that run already write and expect what tests/golden holds.  If only a machine type, a declaration or "
    "an optional field was added, run `make golden` and commit what it writes.  Anything else breaks hand-overs with "
    "them: give a new field `since` with a new version, and keep the former version for the machine types there are "
    "(docs/vmstate.md).";

bool writing() { return std::getenv("PAGURUS_WRITE_GOLDEN") != nullptr; }

std::string read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void write_file(const fs::path& path, const std::string& content) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << content;
}

void check_stream(const fs::path& path, const DeclaredState& state, uint16_t version) {
  auto sample = sample_of(*state.description, version, vmstate::testing::Optional::kWithout);
  if (writing() && !fs::exists(path)) write_file(path, std::string(sample.bytes.begin(), sample.bytes.end()));
  ASSERT_TRUE(fs::exists(path)) << path << " is missing" << kAdvice;
  std::string golden = read_file(path);
  Bytes bytes(golden.begin(), golden.end());
  vmstate::Reader reader(bytes, some_descriptors(sample.fds), version);
  auto rewritten = state.rewrite(reader);
  ASSERT_TRUE(rewritten.has_value()) << path << " cannot be read any more: " << rewritten.error().message() << kAdvice;
  EXPECT_EQ(reader.unclaimed_fds(), 0u) << path << kAdvice;
  EXPECT_TRUE(reader.passed_over().empty()) << path << kAdvice;
  EXPECT_EQ(*rewritten, bytes) << path << " is written otherwise now" << kAdvice;
}

// Each state has its file, and each file its state.
void check_directory(const fs::path& directory, const std::vector<DeclaredState>& states,
                     const std::function<uint16_t(const vmstate::Description&)>& version_of) {
  std::set<std::string> known{"declarations.json"};
  for (const DeclaredState& state : states) {
    std::string name = fmt::format("{}.bin", state.description->name);
    known.insert(name);
    check_stream(directory / name, state, version_of(*state.description));
  }
  for (const auto& entry : fs::directory_iterator(directory)) {
    EXPECT_TRUE(known.contains(entry.path().filename())) << entry.path() << " is of no declaration" << kAdvice;
  }
}

TEST(Golden, states_of_every_machine_type_are_read_and_written_as_ever) {
  for (const machine::MachineType& type : machine::all_machine_types()) {
    check_directory(fs::path(PAGURUS_GOLDEN) / type.name, states_of(DeclaredSections()),
                    [&](const vmstate::Description& description) { return type.version_of(description); });
  }
}

TEST(Golden, messages_are_read_and_written_as_ever) {
  check_directory(fs::path(PAGURUS_GOLDEN) / "messages", states_of(DeclaredMessages()),
                  [](const vmstate::Description& description) { return description.version; });
}

TEST(Golden, declarations_are_as_ever) {
  for (const machine::MachineType& type : machine::all_machine_types()) {
    auto path = fs::path(PAGURUS_GOLDEN) / type.name / "declarations.json";
    std::string declared = *dump_vmstate(std::string(type.name)) + "\n";
    if (writing()) write_file(path, declared);
    EXPECT_EQ(read_file(path), declared) << kAdvice;
  }
}

}  // namespace
}  // namespace pagurus::app::testing
