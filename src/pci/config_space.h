// The configuration space of one PCI function: 256 bytes with a mask of what software may change,
// and the list of capabilities.  The extended space (up to 4 KiB, reached through ECAM) is there and
// reads as zero: no extended capability exists.
//
// Threads: none of its own; PciFunction guards it with its lock.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "base/bytes.h"
#include "base/result.h"

namespace pagurus::pci {

// Offsets and bits of the type 0 header (PCI Local Bus 3.0, 6.1).
inline constexpr uint16_t kCommand = 0x04;
inline constexpr uint16_t kCommandMemory = 1 << 1;
inline constexpr uint16_t kCommandBusMaster = 1 << 2;
inline constexpr uint16_t kCommandInterruptDisable = 1 << 10;
inline constexpr uint16_t kStatus = 0x06;
inline constexpr uint16_t kStatusCapabilities = 1 << 4;
inline constexpr uint16_t kBar0 = 0x10;
inline constexpr uint16_t kCapabilityPointer = 0x34;
inline constexpr uint16_t kInterruptLine = 0x3c;

inline constexpr size_t kConfigBytes = 256;
inline constexpr size_t kExtendedConfigBytes = 4096;

struct Identity {
  uint16_t vendor;
  uint16_t device;
  uint16_t subsystem_vendor = 0;
  uint16_t subsystem = 0;
  uint32_t class_code = 0;  // base class, sub-class and interface: 24 bits
  uint8_t revision = 0;
};

class ConfigSpace {
 public:
  using Bytes = std::array<uint8_t, kConfigBytes>;

  explicit ConfigSpace(const Identity& identity);

  // As software accesses it; size 1, 2 or 4, any alignment, offset below kExtendedConfigBytes.
  uint32_t read(uint16_t offset, unsigned size) const;
  void write(uint16_t offset, unsigned size, uint32_t value);

  // As the device sees it: no masks.
  template <std::integral T>
  T get(uint16_t offset) const {
    return load_le<T>(bytes_.data() + offset);
  }
  template <std::integral T>
  void set(uint16_t offset, T value) {
    store_le(bytes_.data() + offset, value);
  }
  template <std::integral T>
  void set_writable(uint16_t offset, T mask) {
    store_le(writable_.data() + offset, mask);
  }

  // Appends a capability; `body` begins after the id and next bytes; `writable` is a mask for the
  // body, empty for read-only.  Returns its offset.
  uint8_t add_capability(uint8_t id, std::span<const uint8_t> body, std::span<const uint8_t> writable = {});

  const Bytes& bytes() const { return bytes_; }
  // Fails if bytes that software cannot change differ: the state belongs to another device.
  Result<void> check(const Bytes& bytes) const;
  void replace(const Bytes& bytes) { bytes_ = bytes; }

 private:
  Bytes bytes_{};
  Bytes writable_{};
  uint16_t last_capability_ = kCapabilityPointer;  // where the next capability's offset goes
  uint16_t free_ = 0x40;
};

}  // namespace pagurus::pci
