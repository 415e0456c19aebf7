#include "memory/guest_memory.h"

#include <fcntl.h>
#include <linux/membarrier.h>
#include <linux/memfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace pagurus::memory {
namespace {

constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

// A memory barrier in every thread of this process.
Result<void> barrier_everywhere() {
  auto membarrier = [](int command) { return ::syscall(SYS_membarrier, command, 0, 0); };
  if (membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) != 0 || membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) != 0) {
    return fail_errno(errno, "cannot order the writes of other threads (membarrier)");
  }
  return {};
}

}  // namespace

Result<GuestMemory> GuestMemory::create(uint64_t size, Pages pages) {
  if (size < kMinRam || size > kMaxRam) {
    return fail("RAM size {} MiB is outside {} MiB to {} MiB", size / kMiB, kMinRam / kMiB, kMaxRam / kMiB);
  }
  if (size % (2 * kMiB) != 0) return fail("RAM size {} bytes is not a multiple of 2 MiB", size);
  return GuestMemory(size, pages);
}

Result<void> GuestMemory::allocate() {
  CHECK(!present(), "RAM is allocated once");
  unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  if (pages_ == Pages::kHuge2M) flags |= MFD_HUGETLB | MFD_HUGE_2MB;
  UniqueFd fd(::memfd_create("pagurus-ram", flags));
  if (!fd) return fail_errno(errno, "cannot create guest RAM");
  if (::ftruncate(fd.get(), static_cast<off_t>(size_)) != 0) {
    return fail_errno(errno, "cannot size guest RAM to {} MiB", size_ / kMiB);
  }
  if (::fcntl(fd.get(), F_ADD_SEALS, kSeals) != 0) return fail_errno(errno, "cannot seal guest RAM");
  return adopt(std::move(fd));
}

Result<void> GuestMemory::adopt(UniqueFd memfd) {
  CHECK(!present(), "RAM is adopted once");
  struct stat info {};
  if (::fstat(memfd.get(), &info) != 0) return fail_errno(errno, "cannot examine guest RAM");
  int seals = ::fcntl(memfd.get(), F_GET_SEALS);
  if (seals < 0 || (seals & F_SEAL_SHRINK) == 0) {
    return fail("guest RAM is not a memfd sealed against shrinking");
  }
  if (static_cast<uint64_t>(info.st_size) != size_) {
    return fail("guest RAM has {} bytes where {} are expected", info.st_size, size_);
  }
  bool huge = static_cast<uint64_t>(info.st_blksize) == 2 * kMiB;
  if (huge != (pages_ == Pages::kHuge2M)) return fail("guest RAM has another page size than configured");
  auto mapping = Mapping::of_fd(memfd.get(), 0, size_, Mapping::Sharing::kShared);
  if (!mapping) {
    auto error = std::move(mapping.error()).while_doing("mapping guest RAM");
    if (huge)
      return std::unexpected(std::move(error).remedy("are enough huge pages reserved? see /proc/sys/vm/nr_hugepages"));
    return std::unexpected(std::move(error));
  }
  mapping_ = *std::move(mapping);
  // A core dump of the VMM must not hold the guest's memory.
  ::madvise(mapping_.data(), mapping_.size(), MADV_DONTDUMP);
  fd_ = std::move(memfd);
  return {};
}

Result<void> GuestMemory::populate() {
  for (const RamRange& range : TRY(used_ranges())) {
    if (::madvise(mapping_.data() + range.offset, range.size, MADV_POPULATE_WRITE) != 0) {
      return fail_errno(errno, "cannot pre-fault {} MiB of guest RAM", range.size / kMiB);
    }
  }
  return {};
}

// The file's extents, from the kernel, with small holes closed.
Result<std::vector<RamRange>> GuestMemory::used_ranges(uint64_t least_hole) const {
  std::vector<RamRange> used;
  for (const RamRange& range : ranges()) {
    auto end = static_cast<off_t>(range.offset + range.size);
    auto at = static_cast<off_t>(range.offset);
    while (at < end) {
      off_t data = ::lseek(fd_.get(), at, SEEK_DATA);
      if (data < 0 && errno != ENXIO) return fail_errno(errno, "cannot find the used parts of guest RAM");
      if (data < 0 || data >= end) break;
      off_t hole = std::min(::lseek(fd_.get(), data, SEEK_HOLE), end);
      auto offset = static_cast<uint64_t>(data);
      uint64_t previous_end = used.empty() ? 0 : used.back().offset + used.back().size;
      if (!used.empty() && offset > range.offset && offset - previous_end < least_hole && previous_end > range.offset) {
        used.back().size = static_cast<uint64_t>(hole) - used.back().offset;
      } else {
        used.push_back({.base = range.base + (offset - range.offset),
                        .size = static_cast<uint64_t>(hole - data),
                        .offset = offset});
      }
      at = hole;
    }
  }
  return used;
}

std::vector<RamRange> GuestMemory::ranges() const {
  uint64_t low = std::min(size_, kLowRamLimit);
  std::vector<RamRange> result{{.base = {0}, .size = low, .offset = 0}};
  if (size_ > low) result.push_back({.base = {kHighRamBase}, .size = size_ - low, .offset = low});
  return result;
}

uint8_t* GuestMemory::slice(GuestAddress base, uint64_t size) const {
  if (!present() || size == 0) return nullptr;
  uint64_t low = std::min(size_, kLowRamLimit);
  if (base.value < low && size <= low - base.value) return mapping_.data() + base.value;
  if (base.value < kHighRamBase) return nullptr;
  uint64_t into_high = base.value - kHighRamBase;
  uint64_t high = size_ - low;
  if (into_high >= high || size > high - into_high) return nullptr;
  return mapping_.data() + low + into_high;
}

bool GuestMemory::read(GuestAddress from, std::span<uint8_t> to) const {
  if (to.empty()) return true;
  const uint8_t* source = slice(from, to.size());
  if (source == nullptr) return false;
  std::memcpy(to.data(), source, to.size());
  return true;
}

bool GuestMemory::write(GuestAddress to, std::span<const uint8_t> from) const {
  if (from.empty()) return true;
  uint8_t* target = slice(to, from.size());
  if (target == nullptr) return false;
  std::memcpy(target, from.data(), from.size());
  note_written(target, from.size());
  return true;
}

// Another thread writes a page and then reads log_; this one writes log_ and will read the page.  With
// the barrier either that thread saw the log, or the page's reader sees the write.
Result<void> GuestMemory::start_dirty_log() {
  CHECK(present(), "only RAM with bytes can be written");
  if (!written_) written_ = std::make_unique<PageBitmap>(size_ / kPageSize);
  log_->store(written_.get(), std::memory_order_release);
  return barrier_everywhere();
}

void GuestMemory::take_dirty(PageBitmap& into) {
  if (written_) into.take(*written_);
}

void GuestMemory::stop_dirty_log() {
  log_->store(nullptr, std::memory_order_release);
  if (written_) written_->clear({0, written_->pages()});
}

void GuestMemory::note_in_log(const void* host, uint64_t size) const {
  if (size == 0) return;
  auto offset = static_cast<uint64_t>(static_cast<const uint8_t*>(host) - mapping_.data());
  CHECK(offset < size_ && size <= size_ - offset, "what was written is in RAM");
  uint64_t first = offset / kPageSize;
  written_->set({first, (offset + size - 1) / kPageSize - first + 1});
}

}  // namespace pagurus::memory
