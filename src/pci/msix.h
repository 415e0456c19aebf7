// MSI-X of one function: the vector table and the pending bits, as a memory region, and notify().
//
// A vector that is masked, by itself or with the whole function, remembers that it was notified and
// is sent when it is unmasked (PCI Local Bus 3.0, 6.8.2.9).  While MSI-X is off nothing is sent and
// nothing is remembered: there is no INTx to fall back to.
//
// Threads: everything is thread-safe.  lock_ is a leaf: the sink is called after it is released.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <vector>

#include "bus/interrupt.h"
#include "bus/io_bus.h"
#include "vmstate/description.h"

namespace pagurus::pci {

inline constexpr uint16_t kMaxMsixVectors = 2048;

struct MsixEntryState {
  uint64_t address = 0;
  uint32_t data = 0;
  uint32_t control = 1;  // bit 0: masked
  static const vmstate::Description& description();
};

struct MsixState {
  std::vector<MsixEntryState> table;
  std::vector<uint64_t> pending;  // one bit per vector
  static const vmstate::Description& description();
  Result<void> validate() const;
};

class Msix final : public bus::IoHandler {
 public:
  // vectors: 1..kMaxMsixVectors.  `sink` outlives this.
  Msix(uint16_t vectors, bus::MsiSink& sink);

  uint16_t vectors() const { return static_cast<uint16_t>(table_.size()); }
  // The size of the memory region, a power of two, and where the pending bits begin in it.
  uint32_t region_size() const { return region_size_; }
  uint32_t pending_offset() const { return region_size_ / 2; }

  // Sends the vector's message, or makes it pending.  A vector that does not exist, such as
  // VIRTIO_MSI_NO_VECTOR, is ignored.
  void notify(uint16_t vector);
  // The two bits of Message Control that matter here.
  void set_control(bool enabled, bool function_masked);
  bool enabled() const;
  // Power-on: all masked, nothing pending, off.
  void reset();

  uint64_t io_read(uint64_t offset, unsigned size) override;
  void io_write(uint64_t offset, unsigned size, uint64_t value) override;

  MsixState save() const;
  // Fails if the number of vectors differs.  Sends nothing.
  Result<void> load(const MsixState& state);

 private:
  bool masked(size_t vector) const { return function_masked_ || (table_[vector].control & 1) != 0; }
  bool take_pending(size_t vector);
  void write_dword(uint64_t offset, uint32_t value);
  uint32_t read_dword(uint64_t offset) const;

  bus::MsiSink& sink_;
  uint32_t region_size_;
  mutable std::mutex lock_;
  std::vector<MsixEntryState> table_;  // guarded by lock_; its size never changes
  std::vector<uint64_t> pending_;      // guarded by lock_
  bool enabled_ = false;               // guarded by lock_
  bool function_masked_ = false;       // guarded by lock_
};

}  // namespace pagurus::pci
