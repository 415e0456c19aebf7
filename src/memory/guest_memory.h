// Guest RAM: one memfd, mapped once, seen by the guest in one or two pieces around the hole below
// 4 GiB.
//
// Layout (the memfd's offset 0 is guest-physical address 0):
//   [0, min(size, 3 GiB))                 low RAM
//   [3 GiB, 4 GiB)                        hole: PCI window, ECAM, IOAPIC, LAPIC
//   [4 GiB, 4 GiB + size - 3 GiB)         high RAM, if any
//
// Life: created empty from a size; then either `allocate()` makes a fresh memfd (a new guest) or
// `adopt()` takes the memfd of a running one (a hand-over).  Until then it has no bytes and every
// access fails.
//
// The guest changes its memory at any moment, so it is never a C++ reference: copy in once, check,
// use the copy.  `slice()` hands out host addresses for iovecs of system calls and for rings'
// atomic accesses only.
//
// Dirty log: while it is on, every page that this process writes is noted, for whoever copies RAM
// under a running guest (what vCPUs write is noted by KVM).  The rule: **whoever writes through
// slice() calls note_written() after the write is complete**, after readv() has returned, say, and
// before it can be frozen.  write() does it itself.  A page noted late is copied once more, in a later
// round, or in the pause, when nobody writes any more; one that was noted before its write may be
// copied in between, and the write is lost.
//
// Threads: allocate() and adopt() happen before any other thread uses it; the dirty log is started,
// taken and stopped on the control thread; the rest is thread-safe as far as the guest's own races
// allow.
#pragma once

#include <sys/uio.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <type_traits>
#include <vector>

#include "base/mapping.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "memory/address.h"
#include "memory/page_bitmap.h"

namespace pagurus::memory {

inline constexpr uint64_t kMiB = 1024 * 1024;
inline constexpr uint64_t kGiB = 1024 * kMiB;
inline constexpr uint64_t kLowRamLimit = 3 * kGiB;
inline constexpr uint64_t kHighRamBase = 4 * kGiB;
inline constexpr uint64_t kMinRam = 64 * kMiB;
inline constexpr uint64_t kMaxRam = 1024 * kGiB;

enum class Pages { kSmall, kHuge2M };

// A run of guest-physical addresses backed by RAM; `offset` is into the memfd.
struct RamRange {
  GuestAddress base;
  uint64_t size;
  uint64_t offset;
};

class GuestMemory {
 public:
  // size: bytes, a multiple of 2 MiB, kMinRam..kMaxRam.
  static Result<GuestMemory> create(uint64_t size, Pages pages);

  // Makes the memfd (sealed against shrinking and growing) and maps it.
  Result<void> allocate();
  // Takes over another process's memfd.  Refuses one that is not a memfd of exactly this size that
  // is sealed against shrinking: a shrinking file would kill us with SIGBUS.
  Result<void> adopt(UniqueFd memfd);
  // Pre-faults this process's page tables for what the guest has used so far (MADV_POPULATE_WRITE).
  // What it has never touched stays unallocated: a hand-over must not make a guest larger.
  Result<void> populate();

  uint64_t size() const { return size_; }
  Pages pages() const { return pages_; }
  bool present() const { return static_cast<bool>(mapping_); }
  int fd() const { return fd_.get(); }
  uint8_t* host_base() const { return mapping_.data(); }
  // One or two ranges, ascending.
  std::vector<RamRange> ranges() const;
  // The parts of ranges() that have been touched, ascending; a hole of less than `least_hole` bytes
  // counts as touched.  (Of RAM in huge pages the kernel does not tell: all of it counts.)
  Result<std::vector<RamRange>> used_ranges(uint64_t least_hole = kMiB) const;

  // Copies; false if any byte of the range is not RAM (nothing is copied then).
  bool read(GuestAddress from, std::span<uint8_t> to) const;
  bool write(GuestAddress to, std::span<const uint8_t> from) const;
  template <class T>
  std::optional<T> read_value(GuestAddress from) const {
    static_assert(std::is_trivially_copyable_v<T>);
    T value;
    if (!read(from, {reinterpret_cast<uint8_t*>(&value), sizeof value})) return std::nullopt;
    return value;
  }
  template <class T>
  bool write_value(GuestAddress to, const T& value) const {
    static_assert(std::is_trivially_copyable_v<T>);
    return write(to, {reinterpret_cast<const uint8_t*>(&value), sizeof value});
  }

  // The host address of [base, base+size), or nullptr if that is not RAM in one piece or empty.
  uint8_t* slice(GuestAddress base, uint64_t size) const;
  // `host`, from slice(), has been written.
  void note_written(const void* host, uint64_t size) const {
    // The writes come first; between processors start_dirty_log() sees to that.
    std::atomic_signal_fence(std::memory_order_seq_cst);
    if (log_->load(std::memory_order_acquire) != nullptr) note_in_log(host, size);
  }

  // From now on until stop_dirty_log(), which forgets what was noted.
  Result<void> start_dirty_log();
  // Adds the pages written since the last call, or since the start.
  void take_dirty(PageBitmap& into);
  void stop_dirty_log();

 private:
  GuestMemory(uint64_t size, Pages pages)
      : size_(size), pages_(pages), log_(std::make_unique<std::atomic<PageBitmap*>>(nullptr)) {}
  void note_in_log(const void* host, uint64_t size) const;

  uint64_t size_;
  Pages pages_;
  UniqueFd fd_;
  Mapping mapping_;
  // Made by the first start_dirty_log() and kept, because a thread may still be noting a page in it.
  std::unique_ptr<PageBitmap> written_;
  // written_ while the log is on.
  std::unique_ptr<std::atomic<PageBitmap*>> log_;
};

}  // namespace pagurus::memory
