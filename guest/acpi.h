// The few facts the probe takes from ACPI tables: how to power off, how to reset, where ECAM is, which processors
// exist.
#pragma once

#include <cstdint>

namespace pagurus::guest {

// Generic Address Structure (ACPI 6.5, 5.2.3.2), reduced to what is used.
struct AcpiRegister {
  uint8_t space = 0;  // 0 memory, 1 port
  uint64_t address = 0;
  bool present() const { return address != 0; }
};

struct AcpiFacts {
  static constexpr unsigned kMaxCpus = 64;

  bool found = false;
  bool hardware_reduced = false;
  AcpiRegister sleep_control;
  uint16_t pm1a_control = 0;
  AcpiRegister reset;
  uint8_t reset_value = 0;
  uint64_t ecam_base = 0;
  unsigned cpu_count = 0;
  uint8_t apic_ids[kMaxCpus] = {};  // of enabled processors
};

// Walks RSDP -> XSDT or RSDT -> FADT, MCFG, MADT.  `rsdp` 0: looks for it in the BIOS area.
const AcpiFacts& read_acpi(uint64_t rsdp);
const AcpiFacts& acpi();

// Do not come back if the machine obeys; if it does not, power_off() returns and reset_machine() ends in a
// triple fault.
void power_off();
[[noreturn]] void reset_machine();

}  // namespace pagurus::guest
