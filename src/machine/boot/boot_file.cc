#include "machine/boot/boot_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/unique_fd.h"

namespace pagurus::machine {
namespace {

// More than fits below the hole at 3 GiB can never be loaded.
constexpr uint64_t kMaxSize = uint64_t{3} << 30;

Result<std::vector<uint8_t>> read_all(int fd, uint64_t size) {
  std::vector<uint8_t> bytes(size);
  uint64_t done = 0;
  while (done < size) {
    ssize_t got = ::read(fd, bytes.data() + done, size - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno(errno, "cannot read it");
    if (got == 0) return fail("it became shorter while it was read");
    done += static_cast<uint64_t>(got);
  }
  return bytes;
}

}  // namespace

Result<BootFile> BootFile::read(const std::string& path, std::string_view role) {
  // O_NONBLOCK: a FIFO without a writer must not hang us; it is refused below.
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return fail_errno(errno, "cannot open the {} '{}'", role, path);
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return fail_errno(errno, "cannot examine the {} '{}'", role, path);
  if (!S_ISREG(info.st_mode)) return fail("the {} '{}' is not a regular file", role, path);
  auto size = static_cast<uint64_t>(info.st_size);
  if (size == 0) return fail("the {} '{}' is empty", role, path);
  if (size > kMaxSize) return fail("the {} '{}' is too large: {} bytes", role, path, size);
  return BootFile(path, TRY_DOING(fmt::format("the {} '{}'", role, path), read_all(fd.get(), size)));
}

BootFile BootFile::of_bytes(std::string name, std::vector<uint8_t> bytes) {
  return BootFile(std::move(name), std::move(bytes));
}

}  // namespace pagurus::machine
