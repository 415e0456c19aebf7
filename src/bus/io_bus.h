// An address space of device registers: one instance for port I/O, one for memory-mapped I/O.
//
// Threads: lookups from every vCPU thread, mapping from whichever vCPU thread programs a BAR; a
// reader-writer lock guards the table only, never a device's handler.  An IoHandler guards its own
// registers with its device's lock.
#pragma once

#include <cstdint>
#include <map>
#include <shared_mutex>
#include <string>

#include "base/result.h"

namespace pagurus::bus {

class IoHandler {
 public:
  virtual ~IoHandler() = default;
  // offset: from the base of the mapping.  size: 1, 2, 4 or 8; an access never crosses the end of
  // the mapping.  A register that does not exist reads as all ones and ignores writes.
  virtual uint64_t io_read(uint64_t offset, unsigned size) = 0;
  virtual void io_write(uint64_t offset, unsigned size, uint64_t value) = 0;
};

class IoBus {
 public:
  // Maps `size` bytes at `base`.  Fails if that overlaps another mapping (named in the error).
  // `handler` must outlive the mapping.
  Result<void> map(uint64_t base, uint64_t size, std::string name, IoHandler& handler);
  // Removes the mapping that starts at `base`.  A handler call in progress may still be running
  // when this returns, so a handler may end only while no vCPU is in a call.
  void unmap(uint64_t base);

  // What nobody answers reads as all ones, as on a PC.
  uint64_t read(uint64_t address, unsigned size) const;
  void write(uint64_t address, unsigned size, uint64_t value) const;

 private:
  struct Mapping {
    uint64_t size;
    std::string name;
    IoHandler* handler;
  };
  // Returns the handler and the offset, or a null handler.
  std::pair<IoHandler*, uint64_t> find(uint64_t address, unsigned size) const;

  mutable std::shared_mutex lock_;
  std::map<uint64_t, Mapping> mappings_;  // guarded by lock_
};

}  // namespace pagurus::bus
