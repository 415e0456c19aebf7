#include "pci/msix.h"

#include <algorithm>
#include <bit>

namespace pagurus::pci {
namespace {

constexpr uint32_t kEntryBytes = 16;

uint32_t region_size_for(uint16_t vectors) {
  uint32_t half = std::bit_ceil(vectors * kEntryBytes);
  return std::max<uint32_t>(4096, 2 * half);
}

}  // namespace

const vmstate::Description& MsixEntryState::description() {
  static constexpr auto kFields = std::array{
      vmstate::field<&MsixEntryState::address>("address"),
      vmstate::field<&MsixEntryState::data>("data"),
      vmstate::field<&MsixEntryState::control>("control"),
  };
  static constexpr vmstate::Description kDescription{"msix-entry", 1, kFields};
  return kDescription;
}

const vmstate::Description& MsixState::description() {
  static constexpr auto kFields = std::array{
      vmstate::field<&MsixState::table>("table", {.max = kMaxMsixVectors}),
      vmstate::field<&MsixState::pending>("pending", {.max = kMaxMsixVectors / 64}),
  };
  static constexpr vmstate::Description kDescription{"msix", 1, kFields};
  return kDescription;
}

Result<void> MsixState::validate() const {
  if (pending.size() != (table.size() + 63) / 64) {
    return fail("{} words of pending bits for {} MSI-X vectors", pending.size(), table.size());
  }
  if (table.size() % 64 != 0 && (pending.back() >> (table.size() % 64)) != 0) {
    return fail("an MSI-X vector beyond the last one is pending");
  }
  return {};
}

Msix::Msix(uint16_t vectors, bus::MsiSink& sink)
    : sink_(sink), region_size_(region_size_for(vectors)), table_(vectors), pending_((vectors + 63u) / 64) {
  CHECK(vectors >= 1 && vectors <= kMaxMsixVectors, "MSI-X has 1 to 2048 vectors");
}

void Msix::notify(uint16_t vector) {
  bus::MsiMessage message;
  {
    std::lock_guard lock(lock_);
    if (vector >= table_.size() || !enabled_) return;
    if (masked(vector)) {
      pending_[vector / 64] |= uint64_t{1} << (vector % 64);
      return;
    }
    message = {.address = table_[vector].address, .data = table_[vector].data};
  }
  sink_.send(message);
}

// Whether the vector may be sent now because it was waiting; clears its pending bit then.
bool Msix::take_pending(size_t vector) {
  uint64_t bit = uint64_t{1} << (vector % 64);
  if (!enabled_ || masked(vector) || (pending_[vector / 64] & bit) == 0) return false;
  pending_[vector / 64] &= ~bit;
  return true;
}

void Msix::set_control(bool enabled, bool function_masked) {
  std::vector<bus::MsiMessage> due;
  {
    std::lock_guard lock(lock_);
    if (enabled_ == enabled && function_masked_ == function_masked) return;
    enabled_ = enabled;
    function_masked_ = function_masked;
    for (size_t i = 0; i < table_.size(); ++i) {
      if (take_pending(i)) due.push_back({.address = table_[i].address, .data = table_[i].data});
    }
  }
  for (const auto& message : due) sink_.send(message);
}

bool Msix::enabled() const {
  std::lock_guard lock(lock_);
  return enabled_;
}

void Msix::reset() {
  std::lock_guard lock(lock_);
  std::ranges::fill(table_, MsixEntryState{});
  std::ranges::fill(pending_, 0);
  enabled_ = false;
  function_masked_ = false;
}

uint32_t Msix::read_dword(uint64_t offset) const {
  if (offset >= pending_offset()) {
    uint64_t word = (offset - pending_offset()) / 8;
    if (word >= pending_.size()) return 0;
    return static_cast<uint32_t>(pending_[word] >> (8 * (offset & 4)));
  }
  uint64_t vector = offset / kEntryBytes;
  if (vector >= table_.size()) return 0;
  const auto& entry = table_[vector];
  switch (offset % kEntryBytes) {
    case 0: return static_cast<uint32_t>(entry.address);
    case 4: return static_cast<uint32_t>(entry.address >> 32);
    case 8: return entry.data;
    default: return entry.control;
  }
}

void Msix::write_dword(uint64_t offset, uint32_t value) {
  uint64_t vector = offset / kEntryBytes;
  if (offset >= pending_offset() || vector >= table_.size()) return;
  auto& entry = table_[vector];
  switch (offset % kEntryBytes) {
    case 0: entry.address = (entry.address & ~uint64_t{0xffff'ffff}) | (value & ~uint32_t{3}); break;
    case 4: entry.address = (entry.address & 0xffff'ffff) | uint64_t{value} << 32; break;
    case 8: entry.data = value; break;
    default: entry.control = value & 1; break;
  }
}

// Only aligned accesses of 4 and 8 bytes are defined (PCI Local Bus 3.0, 6.8.2).
uint64_t Msix::io_read(uint64_t offset, unsigned size) {
  if (size < 4 || offset % size != 0) return ~uint64_t{0};
  std::lock_guard lock(lock_);
  uint64_t value = read_dword(offset);
  if (size == 8) value |= uint64_t{read_dword(offset + 4)} << 32;
  return value;
}

void Msix::io_write(uint64_t offset, unsigned size, uint64_t value) {
  if (size < 4 || offset % size != 0) return;
  std::optional<bus::MsiMessage> due;
  {
    std::lock_guard lock(lock_);
    write_dword(offset, static_cast<uint32_t>(value));
    if (size == 8) write_dword(offset + 4, static_cast<uint32_t>(value >> 32));
    uint64_t vector = offset / kEntryBytes;
    if (vector < table_.size() && take_pending(vector)) {
      due = bus::MsiMessage{.address = table_[vector].address, .data = table_[vector].data};
    }
  }
  if (due) sink_.send(*due);
}

MsixState Msix::save() const {
  std::lock_guard lock(lock_);
  return {.table = table_, .pending = pending_};
}

Result<void> Msix::load(const MsixState& state) {
  std::lock_guard lock(lock_);
  if (state.table.size() != table_.size()) {
    return fail("{} MSI-X vectors where this device has {}", state.table.size(), table_.size());
  }
  CHECK(state.pending.size() == pending_.size(), "MsixState::validate() has checked the pending bits");
  table_ = state.table;
  for (auto& entry : table_) entry.control &= 1;
  pending_ = state.pending;
  return {};
}

}  // namespace pagurus::pci
