// The ACPI tables of the machine: what Linux finds its vCPUs, interrupt controller, PCI bus, serial
// port and power button by.
//
// The machine is "hardware-reduced" (ACPI 6.5, 4.1): no PM timer, no SCI, no FACS; sleep and reset are
// one register each, and the power button is announced by a generic event device (GED).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "machine/acpi/dsdt.h"
#include "memory/address.h"
#include "memory/guest_memory.h"

namespace pagurus::machine {

struct AcpiTable {
  std::string signature;  // "FACP", "APIC", ...; "RSDP" for the root pointer
  memory::GuestAddress address;
  std::vector<uint8_t> bytes;
};

struct AcpiTables {
  std::vector<AcpiTable> tables;  // RSDP first
  memory::GuestAddress rsdp;

  // All of them into the BIOS area.  At every boot: a guest may overwrite them.
  void write(const memory::GuestMemory& memory) const;
};

// vcpus: 1..kMaxVcpus; the local APIC id of a vCPU is its index.
AcpiTables build_acpi_tables(unsigned vcpus, SlotHotplug hotplug);

}  // namespace pagurus::machine
