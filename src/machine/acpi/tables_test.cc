// Beside our own checks, ACPICA's iasl reads every table: an independent reader of the format.
#include "machine/acpi/tables.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <numeric>

#include "base/bytes.h"
#include "machine/layout.h"

namespace pagurus::machine {
namespace {

const AcpiTable& find(const AcpiTables& tables, const std::string& signature) {
  for (const auto& table : tables.tables) {
    if (table.signature == signature) return table;
  }
  ADD_FAILURE() << signature << " is missing";
  return tables.tables.front();
}

uint8_t sum(std::span<const uint8_t> bytes) {
  return static_cast<uint8_t>(std::accumulate(bytes.begin(), bytes.end(), 0u));
}

TEST(AcpiTables, checksums_and_lengths_are_right_and_nothing_overlaps) {
  auto built = build_acpi_tables(8, SlotHotplug::kYes);
  uint64_t end = 0;
  auto sorted = built.tables;
  std::ranges::sort(sorted, {}, [](const auto& table) { return table.address; });
  for (const auto& table : sorted) {
    EXPECT_EQ(sum(table.bytes), 0) << table.signature;
    if (table.signature != "RSDP") {
      EXPECT_EQ(load_le<uint32_t>(&table.bytes[4]), table.bytes.size()) << table.signature;
    }
    EXPECT_GE(table.address.value, end) << table.signature;
    end = table.address.value + table.bytes.size();
  }
  EXPECT_EQ(sum(std::span(find(built, "RSDP").bytes).first(20)), 0);
  EXPECT_LE(end, layout::kBiosArea.end());
}

TEST(AcpiTables, pointers_lead_from_the_rsdp_to_every_table) {
  auto built = build_acpi_tables(1, SlotHotplug::kYes);
  const auto& rsdp = find(built, "RSDP");
  EXPECT_EQ(rsdp.address, built.rsdp);
  const auto& xsdt = find(built, "XSDT");
  EXPECT_EQ(load_le<uint64_t>(&rsdp.bytes[24]), xsdt.address.value);
  std::vector<uint64_t> listed;
  for (size_t at = 36; at < xsdt.bytes.size(); at += 8) listed.push_back(load_le<uint64_t>(&xsdt.bytes[at]));
  EXPECT_EQ(listed, (std::vector{find(built, "FACP").address.value, find(built, "APIC").address.value,
                                 find(built, "MCFG").address.value}));
  EXPECT_EQ(load_le<uint64_t>(&find(built, "FACP").bytes[140]), find(built, "DSDT").address.value);
}

TEST(AcpiTables, madt_has_one_local_apic_per_vcpu) {
  auto size = [](unsigned vcpus) { return find(build_acpi_tables(vcpus, SlotHotplug::kNo), "APIC").bytes.size(); };
  EXPECT_EQ(size(8) - size(1), 7u * 8);
}

TEST(AcpiTables, written_tables_are_found_in_ram) {
  auto ram = memory::GuestMemory::create(memory::kMinRam, memory::Pages::kSmall);
  ASSERT_TRUE(ram && ram->allocate());
  auto built = build_acpi_tables(2, SlotHotplug::kYes);
  built.write(*ram);
  EXPECT_EQ(ram->read_value<uint64_t>(built.rsdp), load_le<uint64_t>("RSD PTR "));
}

class Iasl : public testing::TestWithParam<std::tuple<unsigned, SlotHotplug>> {
 protected:
  void SetUp() override {
    if (std::system("command -v iasl >/dev/null 2>&1") != 0)
      GTEST_SKIP() << "iasl (package acpica-tools) is not installed";
    std::string pattern = (std::filesystem::temp_directory_path() / "pagurus-acpi-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
  }
  void TearDown() override {
    if (!directory_.empty()) std::filesystem::remove_all(directory_);
  }

  // Runs iasl in the directory and returns what it printed; fails the test if it fails.
  std::string run(const std::string& arguments) {
    std::string command = "cd '" + directory_.string() + "' && iasl " + arguments + " 2>&1";
    FILE* pipe = ::popen(command.c_str(), "r");
    std::string output;
    std::array<char, 4096> chunk;
    while (size_t got = std::fread(chunk.data(), 1, chunk.size(), pipe)) output.append(chunk.data(), got);
    int status = ::pclose(pipe);
    EXPECT_EQ(status, 0) << command << "\n" << output;
    return output;
  }

  std::filesystem::path directory_;
};

TEST_P(Iasl, disassembles_every_table_and_recompiles_the_dsdt) {
  auto [vcpus, hotplug] = GetParam();
  for (const auto& table : build_acpi_tables(vcpus, hotplug).tables) {
    if (table.signature == "RSDP") continue;  // not a table: iasl reads those only from a dump
    std::ofstream(directory_ / (table.signature + ".dat"), std::ios::binary)
        .write(reinterpret_cast<const char*>(table.bytes.data()), static_cast<std::streamsize>(table.bytes.size()));
    std::string output = run("-d " + table.signature + ".dat");
    for (const char* complaint : {"Warning", "Invalid", "ncorrect", "Could not", "nknown"}) {
      EXPECT_EQ(output.find(complaint), std::string::npos) << output;
    }
  }
  std::string output = run("-p again DSDT.dsl");
  EXPECT_NE(output.find("0 Errors, 0 Warnings, 0 Remarks"), std::string::npos) << output;
}

INSTANTIATE_TEST_SUITE_P(Machines, Iasl,
                         testing::Combine(testing::Values(1u, 8u),
                                          testing::Values(SlotHotplug::kNo, SlotHotplug::kYes)));

}  // namespace
}  // namespace pagurus::machine
