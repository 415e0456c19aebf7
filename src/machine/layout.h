// The one place for guest-physical addresses, ports and interrupt numbers of the machine.
//
//   0x0000_0500  boot data: GDT, start info, zero page, page tables (dead after boot)
//   0x0002_0000  kernel command line (up to 64 KiB)
//   0x0009_FC00  extended BIOS data area, reserved
//   0x000E_0000  BIOS area: the ACPI tables, RSDP first
//   0x0010_0000  RAM: kernel, initrd
//   0xC000_0000  PCI memory window (BARs)
//   0xE000_0000  PCIe configuration space (ECAM)
//   0xFEC0_0000  IOAPIC
//   0xFEE0_0000  local APICs
//   0xFEFF_C000  one page for KVM's identity map, then three for its TSS
//   0x1_0000_0000  RAM above 4 GiB
//
// These are part of what a hand-over transports: a value changes only with a new machine type.
#pragma once

#include <cstdint>

#include "memory/address.h"
#include "memory/guest_memory.h"

namespace pagurus::machine::layout {

using memory::GuestAddress;

struct Range {
  uint64_t base;
  uint64_t size;
  constexpr uint64_t end() const { return base + size; }
};

// Boot data, below the EBDA.  Written at every boot, free for the kernel once it has copied them.
inline constexpr GuestAddress kGdt{0x500};
inline constexpr GuestAddress kPvhStartInfo{0x6000};
inline constexpr GuestAddress kPvhModules{0x6040};
inline constexpr GuestAddress kPvhMemoryMap{0x6100};
inline constexpr GuestAddress kZeroPage{0x7000};
inline constexpr GuestAddress kPageTables{0x9000};
inline constexpr GuestAddress kCommandLine{0x20000};
inline constexpr uint64_t kCommandLineSize = 0x10000;  // the final NUL included

inline constexpr Range kEbda{0x9fc00, 0x400};
inline constexpr Range kBiosArea{0xe0000, 0x20000};
inline constexpr GuestAddress kAcpiTables{kBiosArea.base};
// A kernel may be loaded from here on.
inline constexpr uint64_t kKernelBase = memory::kMiB;

inline constexpr Range kPciMemory{memory::kLowRamLimit, 0x2000'0000};
inline constexpr unsigned kPciBuses = 1;
inline constexpr Range kEcam{0xe000'0000, kPciBuses* memory::kMiB};
static_assert(kPciMemory.end() == kEcam.base);

inline constexpr Range kIoApic{0xfec0'0000, 0x1000};
inline constexpr Range kLocalApic{0xfee0'0000, 0x1000};
inline constexpr GuestAddress kKvmIdentityMap{0xfeff'c000};
inline constexpr GuestAddress kKvmTss{0xfeff'd000};
inline constexpr Range kKvmPages{0xfeff'c000, 0x4000};

// Ports.
inline constexpr Range kPowerPorts{0x600, 4};        // device::PowerControl
inline constexpr Range kPciHotplugPorts{0x610, 12};  // device::PciHotplug
inline constexpr Range kKeyboardStatusPort{0x64, 1};
inline constexpr Range kSerialPorts{0x3f8, 8};
inline constexpr Range kPciConfigPorts{0xcf8, 8};

// Inputs of the IOAPIC.  All of ours are edge-triggered, active high.
inline constexpr uint32_t kSerialGsi = 4;
inline constexpr uint32_t kGedGsi = 9;          // the ACPI generic event device: power button
inline constexpr uint32_t kPciHotplugGsi = 10;  // the same device: PCI slots

}  // namespace pagurus::machine::layout
