#include "migration/ram_sink.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "memory/zero_page.h"

namespace pagurus::migration {
namespace {

using memory::kPageSize;

// The kernel may back RAM with pages of this size, and giving back a part of one would split it.
constexpr uint64_t kHugePage = 2 * memory::kMiB;

void clear_unless_zero(uint8_t* at, uint64_t size) {
  for (uint64_t done = 0; done < size; done += kPageSize) {
    uint8_t* page = at + done;
    if (!memory::is_zero_page(page)) std::memset(page, 0, kPageSize);
  }
}

}  // namespace

Result<void> RamSink::apply(const wire::Ram& message) {
  TRY_DOING("RAM from the source", check(message));
  const uint8_t* data = message.data.data();
  for (const wire::RamRun& run : message.runs) {
    uint64_t size = run.pages * kPageSize;
    if (run.zero) {
      TRY(make_zero(run.offset, size));
    } else {
      std::memcpy(memory_.host_base() + run.offset, data, size);
      data += size;
    }
  }
  return {};
}

Result<void> RamSink::check(const wire::Ram& message) const {
  CHECK(memory_.present(), "RAM is allocated before it is filled");
  uint64_t data = 0;
  for (size_t i = 0; i < message.runs.size(); ++i) {
    const wire::RamRun& run = message.runs[i];
    uint64_t size = run.pages * kPageSize;
    if (run.pages == 0) return fail("run {} has no pages", i);
    if (run.offset % kPageSize != 0) return fail("run {} begins at {:#x}, which is inside a page", i, run.offset);
    if (run.offset >= memory_.size() || size > memory_.size() - run.offset) {
      return fail("run {} of {} pages at {:#x} leaves the RAM of {:#x} bytes", i, run.pages, run.offset,
                  memory_.size());
    }
    if (run.zero) continue;
    data += size;
    if (data > message.data.size()) {
      return fail("run {} goes beyond the {} bytes of data", i, message.data.size());
    }
  }
  if (data != message.data.size()) {
    return fail("{} bytes of data where the runs need {}", message.data.size(), data);
  }
  return {};
}

// Only reading a page that was never touched would allocate it, so the kernel is asked first.
Result<void> RamSink::make_zero(uint64_t offset, uint64_t size) {
  uint64_t end = offset + size;
  while (offset < end) {
    off_t data = ::lseek(memory_.fd(), static_cast<off_t>(offset), SEEK_DATA);
    if (data < 0 && errno != ENXIO) return fail_errno(errno, "cannot find the touched parts of guest RAM");
    if (data < 0 || static_cast<uint64_t>(data) >= end) return {};
    off_t hole = ::lseek(memory_.fd(), data, SEEK_HOLE);
    if (hole < 0) return fail_errno(errno, "cannot find the touched parts of guest RAM");
    offset = static_cast<uint64_t>(data);
    uint64_t touched = std::min(end, static_cast<uint64_t>(hole)) - offset;
    TRY(make_touched_zero(offset, touched));
    offset += touched;
  }
  return {};
}

Result<void> RamSink::make_touched_zero(uint64_t offset, uint64_t size) {
  uint64_t end = offset + size;
  uint64_t first_whole = (offset + kHugePage - 1) / kHugePage * kHugePage;
  uint64_t last_whole = end / kHugePage * kHugePage;
  if (first_whole >= last_whole) {
    clear_unless_zero(memory_.host_base() + offset, size);
    return {};
  }
  clear_unless_zero(memory_.host_base() + offset, first_whole - offset);
  clear_unless_zero(memory_.host_base() + last_whole, end - last_whole);
  if (::fallocate(memory_.fd(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(first_whole),
                  static_cast<off_t>(last_whole - first_whole)) != 0) {
    return fail_errno(errno, "cannot give back {} MiB of guest RAM", (last_whole - first_whole) / memory::kMiB);
  }
  return {};
}

}  // namespace pagurus::migration
