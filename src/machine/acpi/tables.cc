#include "machine/acpi/tables.h"

#include <numeric>
#include <span>

#include "base/bytes.h"
#include "device/power/power_control.h"
#include "machine/layout.h"

namespace pagurus::machine {
namespace {

using memory::GuestAddress;
using Bytes = std::vector<uint8_t>;

constexpr size_t kHeaderSize = 36;
constexpr size_t kHeaderLength = 4;
constexpr size_t kHeaderChecksum = 9;

template <std::integral T>
void append(Bytes& to, T value) {
  size_t at = to.size();
  to.resize(at + sizeof value);
  store_le(to.data() + at, value);
}

void append_text(Bytes& to, std::string_view text) { to.insert(to.end(), text.begin(), text.end()); }

// What makes the sum of all bytes 0.
uint8_t checksum(std::span<const uint8_t> bytes) {
  return static_cast<uint8_t>(-std::accumulate(bytes.begin(), bytes.end(), 0u));
}

// ACPI 6.5, 5.2.6; length and checksum follow in finish().
Bytes begin_table(std::string_view signature, uint8_t revision) {
  Bytes table;
  append_text(table, signature);
  append<uint32_t>(table, 0);
  append<uint8_t>(table, revision);
  append<uint8_t>(table, 0);
  append_text(table, "PAGURU");
  append_text(table, "PAGURUS ");
  append<uint32_t>(table, 1);
  append_text(table, "PGRS");
  append<uint32_t>(table, 1);
  return table;
}

Bytes finish(Bytes table) {
  store_le<uint32_t>(&table[kHeaderLength], static_cast<uint32_t>(table.size()));
  table[kHeaderChecksum] = checksum(table);
  return table;
}

Bytes dsdt(SlotHotplug hotplug) {
  Bytes table = begin_table("DSDT", 2);
  Bytes code = dsdt_code(hotplug);
  table.insert(table.end(), code.begin(), code.end());
  return finish(std::move(table));
}

// A byte-wide port as a generic address structure (5.2.3.2).
void put_port(Bytes& table, size_t at, uint64_t port) {
  constexpr uint8_t kSystemIo = 1;
  constexpr uint8_t kByteAccess = 1;
  table[at] = kSystemIo;
  table[at + 1] = 8;
  table[at + 3] = kByteAccess;
  store_le<uint64_t>(&table[at + 4], port);
}

// 5.2.9.
Bytes fadt(GuestAddress dsdt_address) {
  using Power = device::PowerControl;
  constexpr uint64_t kPorts = layout::kPowerPorts.base;
  constexpr uint8_t kEnterpriseServer = 4;
  // No VGA, no CMOS clock; 8042 and legacy devices are absent by not being set.
  constexpr uint16_t kBootArchitecture = 1u << 2 | 1u << 5;
  // WBINVD works; power button is a device; no sleep button; reset register; hardware-reduced.
  constexpr uint32_t kFlags = 1u << 0 | 1u << 4 | 1u << 5 | 1u << 10 | 1u << 20;
  constexpr size_t kSize = 276;

  Bytes table = begin_table("FACP", 6);
  table.resize(kSize);
  table[45] = kEnterpriseServer;
  store_le<uint16_t>(&table[109], kBootArchitecture);
  store_le<uint32_t>(&table[112], kFlags);
  put_port(table, 116, kPorts + Power::kResetRegister);
  table[128] = Power::kResetValue;
  table[131] = 5;  // minor version: 6.5
  store_le<uint64_t>(&table[140], dsdt_address.value);
  put_port(table, 244, kPorts + Power::kSleepControlRegister);
  put_port(table, 256, kPorts + Power::kSleepStatusRegister);
  for (size_t i = 0; i < 7; ++i) table[268 + i] = static_cast<uint8_t>("PAGURUS"[i]);  // hypervisor vendor
  return finish(std::move(table));
}

// 5.2.12.
Bytes madt(unsigned vcpus) {
  Bytes table = begin_table("APIC", 5);
  append(table, static_cast<uint32_t>(layout::kLocalApic.base));
  append<uint32_t>(table, 0);  // flags: no pair of 8259s
  for (unsigned i = 0; i < vcpus; ++i) {
    auto id = static_cast<uint8_t>(i);
    for (uint8_t byte : {uint8_t{0}, uint8_t{8}, id, id}) append(table, byte);
    append<uint32_t>(table, 1);  // enabled
  }
  for (uint8_t byte : {1, 12, 0, 0}) append(table, byte);  // IOAPIC, id 0
  append(table, static_cast<uint32_t>(layout::kIoApic.base));
  append<uint32_t>(table, 0);                                                     // first GSI
  for (uint8_t byte : {0x04, 0x06, 0xff, 0x00, 0x00, 0x01}) append(table, byte);  // NMI on LINT1 of all
  return finish(std::move(table));
}

// PCI firmware specification 3.3, 4.1.2.
Bytes mcfg() {
  Bytes table = begin_table("MCFG", 1);
  append<uint64_t>(table, 0);
  append<uint64_t>(table, layout::kEcam.base);
  append<uint16_t>(table, 0);  // segment
  append<uint8_t>(table, 0);
  append<uint8_t>(table, layout::kPciBuses - 1);
  append<uint32_t>(table, 0);
  return finish(std::move(table));
}

Bytes xsdt(std::span<const AcpiTable> tables) {
  Bytes table = begin_table("XSDT", 1);
  for (const AcpiTable& entry : tables) append(table, entry.address.value);
  return finish(std::move(table));
}

// 5.2.5.3.
Bytes rsdp(GuestAddress xsdt_address) {
  constexpr size_t kSizeOfRevision1 = 20;
  Bytes pointer;
  append_text(pointer, "RSD PTR ");
  append<uint8_t>(pointer, 0);
  append_text(pointer, "PAGURU");
  append<uint8_t>(pointer, 2);
  append<uint32_t>(pointer, 0);  // no RSDT
  append<uint32_t>(pointer, kHeaderSize);
  append(pointer, xsdt_address.value);
  append<uint32_t>(pointer, 0);
  pointer[8] = checksum(std::span(pointer).first(kSizeOfRevision1));
  pointer[32] = checksum(pointer);
  return pointer;
}

// Hands out addresses in the BIOS area.
class Placer {
 public:
  GuestAddress place(size_t size) {
    GuestAddress result{next_};
    next_ = (next_ + size + kAlignment - 1) / kAlignment * kAlignment;
    CHECK(next_ <= layout::kBiosArea.end(), "our ACPI tables are a few KiB");
    return result;
  }

 private:
  static constexpr uint64_t kAlignment = 16;  // the RSDP needs it
  uint64_t next_ = layout::kAcpiTables.value;
};

}  // namespace

AcpiTables build_acpi_tables(unsigned vcpus, SlotHotplug hotplug) {
  Placer placer;
  auto add = [&](std::vector<AcpiTable>& to, std::string signature, Bytes bytes) {
    GuestAddress address = placer.place(bytes.size());
    to.push_back({std::move(signature), address, std::move(bytes)});
    return address;
  };

  AcpiTables result;
  // The RSDP comes first in memory but is made last: it and the XSDT point to what follows.
  result.rsdp = placer.place(kHeaderSize);
  std::vector<AcpiTable> code;
  std::vector<AcpiTable> listed;
  GuestAddress dsdt_address = add(code, "DSDT", dsdt(hotplug));
  add(listed, "FACP", fadt(dsdt_address));
  add(listed, "APIC", madt(vcpus));
  add(listed, "MCFG", mcfg());
  GuestAddress xsdt_address = add(code, "XSDT", xsdt(listed));

  result.tables.push_back({"RSDP", result.rsdp, rsdp(xsdt_address)});
  for (auto* list : {&code, &listed}) {
    for (AcpiTable& table : *list) result.tables.push_back(std::move(table));
  }
  return result;
}

void AcpiTables::write(const memory::GuestMemory& memory) const {
  for (const AcpiTable& table : tables) {
    CHECK(memory.write(table.address, table.bytes), "the smallest RAM holds the BIOS area");
  }
}

}  // namespace pagurus::machine
