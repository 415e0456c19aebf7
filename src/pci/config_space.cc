#include "pci/config_space.h"

#include <algorithm>

namespace pagurus::pci {

ConfigSpace::ConfigSpace(const Identity& identity) {
  set<uint16_t>(0x00, identity.vendor);
  set<uint16_t>(0x02, identity.device);
  set<uint32_t>(0x08, identity.class_code << 8 | identity.revision);
  set<uint16_t>(0x2c, identity.subsystem_vendor);
  set<uint16_t>(0x2e, identity.subsystem);
  set_writable<uint16_t>(kCommand, kCommandMemory | kCommandBusMaster | kCommandInterruptDisable);
  set_writable<uint8_t>(kInterruptLine, 0xff);
}

uint32_t ConfigSpace::read(uint16_t offset, unsigned size) const {
  uint32_t value = 0;
  for (unsigned i = 0; i < size; ++i) {
    if (offset + i < kConfigBytes) value |= uint32_t{bytes_[offset + i]} << (8 * i);
  }
  return value;
}

void ConfigSpace::write(uint16_t offset, unsigned size, uint32_t value) {
  for (unsigned i = 0; i < size && offset + i < kConfigBytes; ++i) {
    uint8_t mask = writable_[offset + i];
    uint8_t byte = static_cast<uint8_t>(value >> (8 * i));
    bytes_[offset + i] = static_cast<uint8_t>((bytes_[offset + i] & ~mask) | (byte & mask));
  }
}

uint8_t ConfigSpace::add_capability(uint8_t id, std::span<const uint8_t> body, std::span<const uint8_t> writable) {
  size_t size = (2 + body.size() + 3) & ~size_t{3};
  CHECK(free_ + size <= kConfigBytes, "the capabilities of a device are few and known");
  CHECK(writable.empty() || writable.size() == body.size(), "a mask covers the whole body");
  uint16_t at = free_;
  bytes_[at] = id;
  std::ranges::copy(body, bytes_.begin() + at + 2);
  std::ranges::copy(writable, writable_.begin() + at + 2);
  bytes_[last_capability_] = static_cast<uint8_t>(at);
  last_capability_ = at + 1;
  free_ = static_cast<uint16_t>(at + size);
  set<uint16_t>(kStatus, get<uint16_t>(kStatus) | kStatusCapabilities);
  return static_cast<uint8_t>(at);
}

Result<void> ConfigSpace::check(const Bytes& bytes) const {
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (((bytes[i] ^ bytes_[i]) & ~writable_[i]) == 0) continue;
    return fail("byte {:#x} of the configuration space is {:#x} where this device has {:#x}", i, bytes[i], bytes_[i]);
  }
  return {};
}

}  // namespace pagurus::pci
