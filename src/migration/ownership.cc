#include "migration/ownership.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <atomic>
#include <cerrno>

namespace pagurus::migration {
namespace {

constexpr size_t kPageSize = 4096;
constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

}  // namespace

Result<Ownership> Ownership::create() {
  UniqueFd fd(::memfd_create("pagurus-ownership", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd) return fail_errno(errno, "cannot create the ownership word");
  if (::ftruncate(fd.get(), kPageSize) != 0 || ::fcntl(fd.get(), F_ADD_SEALS, kSeals) != 0) {
    return fail_errno(errno, "cannot size and seal the ownership word");
  }
  auto ownership = TRY(adopt(std::move(fd)));
  std::atomic_ref(ownership.word()).store(static_cast<uint32_t>(Owner::kSource));
  return ownership;
}

Result<Ownership> Ownership::adopt(UniqueFd memfd) {
  struct stat info {};
  int seals = ::fcntl(memfd.get(), F_GET_SEALS);
  // A word in a file that can shrink would kill its reader with SIGBUS.
  if (seals < 0 || (seals & F_SEAL_SHRINK) == 0 || ::fstat(memfd.get(), &info) != 0 ||
      info.st_size != static_cast<off_t>(kPageSize)) {
    return fail("the ownership word is not in a sealed memfd of {} bytes", kPageSize);
  }
  auto page = TRY_DOING("the ownership word", Mapping::of_fd(memfd.get(), 0, kPageSize, Mapping::Sharing::kShared));
  return Ownership(std::move(memfd), std::move(page));
}

uint32_t& Ownership::word() const { return *reinterpret_cast<uint32_t*>(page_.data()); }

Owner Ownership::owner() const { return static_cast<Owner>(std::atomic_ref(word()).load()); }

bool Ownership::claim(Owner wanted) {
  auto expected = static_cast<uint32_t>(Owner::kSource);
  return std::atomic_ref(word()).compare_exchange_strong(expected, static_cast<uint32_t>(wanted)) ||
         expected == static_cast<uint32_t>(wanted);
}

}  // namespace pagurus::migration
