// Reads static ACPI tables by offset; DSDT byte code is not interpreted.

#include "guest/acpi.h"

#include "guest/boot_info.h"
#include "guest/cpu.h"
#include "guest/paging.h"

namespace pagurus::guest {
namespace {

AcpiFacts facts;

template <typename T>
T field(uint64_t table, unsigned offset) {
  T value;
  __builtin_memcpy(&value, reinterpret_cast<const void*>(table + offset), sizeof(T));
  return value;
}

bool has_signature(uint64_t table, const char* signature) {
  return __builtin_memcmp(reinterpret_cast<const void*>(table), signature, 4) == 0;
}

uint32_t table_length(uint64_t table) { return field<uint32_t>(table, 4); }

AcpiRegister read_register(uint64_t table, unsigned offset) {
  if (table_length(table) < offset + 12) return {};
  return {field<uint8_t>(table, offset), field<uint64_t>(table, offset + 4)};
}

void write_register(const AcpiRegister& target, uint8_t value) {
  if (target.space == 1) {
    out8(static_cast<uint16_t>(target.address), value);
  } else {
    map_device({target.address, 1});
    write_mmio<uint8_t>(target.address, value);
  }
}

// ACPI 6.5, table 5.9.
void read_fadt(uint64_t fadt) {
  const auto flags = field<uint32_t>(fadt, 112);
  facts.pm1a_control = static_cast<uint16_t>(field<uint32_t>(fadt, 64));
  facts.hardware_reduced = (flags & (1u << 20)) != 0;
  if ((flags & (1u << 10)) != 0) {
    facts.reset = read_register(fadt, 116);
    facts.reset_value = field<uint8_t>(fadt, 128);
  }
  facts.sleep_control = read_register(fadt, 244);
}

// ACPI 6.5, 5.2.12: header, LAPIC address, flags, then structures of type, length, ...
void read_madt(uint64_t madt) {
  const uint32_t end = table_length(madt);
  for (uint32_t at = 44; at + 2 <= end;) {
    const auto type = field<uint8_t>(madt, at);
    const auto length = field<uint8_t>(madt, at + 1);
    if (length < 2 || at + length > end) return;
    constexpr uint8_t kLocalApic = 0;
    if (type == kLocalApic && (field<uint32_t>(madt, at + 4) & 1) != 0 && facts.cpu_count < AcpiFacts::kMaxCpus) {
      facts.apic_ids[facts.cpu_count++] = field<uint8_t>(madt, at + 3);
    }
    at += length;
  }
}

void read_table(uint64_t table) {
  if (has_signature(table, "FACP")) read_fadt(table);
  if (has_signature(table, "APIC")) read_madt(table);
  // PCI firmware specification 3.3, 4.1.2: the first allocation follows 44 bytes of header.
  if (has_signature(table, "MCFG") && table_length(table) >= 60) facts.ecam_base = field<uint64_t>(table, 44);
}

uint64_t find_rsdp() {
  for (uint64_t at = 0xe0000; at < 0x100000; at += 16) {
    if (__builtin_memcmp(reinterpret_cast<const void*>(at), "RSD PTR ", 8) == 0) return at;
  }
  return 0;
}

}  // namespace

const AcpiFacts& acpi() { return facts; }

const AcpiFacts& read_acpi(uint64_t rsdp) {
  if (rsdp == 0) rsdp = find_rsdp();
  if (rsdp == 0 || __builtin_memcmp(reinterpret_cast<const void*>(rsdp), "RSD PTR ", 8) != 0) return facts;
  const bool extended = field<uint8_t>(rsdp, 15) >= 2 && field<uint64_t>(rsdp, 24) != 0;
  const uint64_t root = extended ? field<uint64_t>(rsdp, 24) : field<uint32_t>(rsdp, 16);
  const unsigned width = extended ? 8 : 4;
  facts.found = true;
  for (uint32_t at = 36; at + width <= table_length(root); at += width) {
    read_table(extended ? field<uint64_t>(root, at) : field<uint32_t>(root, at));
  }
  return facts;
}

void power_off() {
  const TextView port = boot_info().word("poweroff_port");
  if (port.size != 0) {
    // The form is PORT:VALUE, a 16-bit write.
    size_t colon = 0;
    while (colon < port.size && port.data[colon] != ':') ++colon;
    const ParsedNumber number = parse_number({port.data, colon});
    const ParsedNumber value = colon < port.size ? parse_number(port.from(colon + 1)) : ParsedNumber{};
    if (number.ok) out16(static_cast<uint16_t>(number.value), static_cast<uint16_t>(value.value));
  }
  constexpr unsigned kSleepTypeS5 = 5;
  if (facts.sleep_control.present()) {
    write_register(facts.sleep_control, (kSleepTypeS5 << 2) | (1u << 5));
  } else if (facts.pm1a_control != 0) {
    // The value of \_S5 is byte code in the DSDT; 0 is what QEMU's chipsets have.
    out16(facts.pm1a_control, static_cast<uint16_t>(boot_info().number("s5", 0) << 10 | 1u << 13));
  }
  for (unsigned i = 0; i < 1000; ++i) relax();
}

void reset_machine() {
  if (facts.reset.present()) write_register(facts.reset, facts.reset_value);
  for (unsigned i = 0; i < 1000; ++i) relax();
  out8(0xcf9, 6);
  for (unsigned i = 0; i < 1000; ++i) relax();
  struct [[gnu::packed]] {
    uint16_t limit;
    uint64_t base;
  } const nothing{0, 0};
  asm volatile("lidt %0; ud2" ::"m"(nothing));
  halt_forever();
}

}  // namespace pagurus::guest
