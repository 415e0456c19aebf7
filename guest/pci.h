// PCI configuration space: finding functions, BARs, MSI-X.
#pragma once

#include <cstdint>

#include "guest/boot_info.h"

namespace pagurus::guest {

// One function.  Reads and writes go through ports 0xCF8/0xCFC, or through ECAM where those do not answer.
struct PciFunction {
  uint8_t bus = 0;
  uint8_t slot = 0;
  uint8_t function = 0;

  uint32_t read32(uint16_t offset) const;
  uint16_t read16(uint16_t offset) const;
  uint8_t read8(uint16_t offset) const;
  void write32(uint16_t offset, uint32_t value) const;
  void write16(uint16_t offset, uint16_t value) const;

  // First capability with this id after `after` (0: from the start); 0 if there is none.
  uint8_t find_capability(uint8_t id, uint8_t after = 0) const;

  // Memory BAR as a range, assigned from the window if the firmware left it empty, and mapped.  Size 0: no such BAR.
  MemoryRange memory_bar(unsigned index) const;

  // Turns on memory decoding and bus mastering, turns off INTx.
  void enable() const;
};

// Chooses the access mechanism.  `ecam_base` 0: none known.
void init_pci(uint64_t ecam_base);

struct PciSearch {
  bool found = false;
  PciFunction function;
};
// The n-th function (from 0) on bus 0 and the buses behind its bridges with this vendor and one of two device ids.
PciSearch find_pci_function(uint16_t vendor, uint16_t device, uint16_t other_device, unsigned n);

// MSI-X of one function: set-up only, the probe never masks later.
class MsixTable {
 public:
  // False if the function has no MSI-X.
  bool open(const PciFunction& function);
  unsigned size() const { return size_; }
  void set(unsigned entry, uint8_t apic_id, uint8_t vector) const;
  void enable() const;

 private:
  PciFunction function_;
  uint8_t capability_ = 0;
  unsigned size_ = 0;
  uint64_t table_ = 0;
};

}  // namespace pagurus::guest
