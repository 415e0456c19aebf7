#include "file_reader.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/unique_fd.h"

namespace pagurus::qapi_gen {
namespace {

std::unexpected<Error> failed(int error) { return std::unexpected(Error(std::strerror(error))); }

}  // namespace

Result<std::string> DiskReader::read(const std::string& path) const {
  // O_NONBLOCK: a pipe without a writer is refused below, not waited for.
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (!fd) return failed(errno);
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return failed(errno);
  if (S_ISDIR(info.st_mode)) return failed(EISDIR);
  if (!S_ISREG(info.st_mode)) return fail("it is not a regular file");
  // Files of /proc say 0, so that the size is only a guess; one byte more, to see the end without growing.
  std::string text(std::min(static_cast<size_t>(info.st_size), kMaxFileSize) + 1, '\0');
  size_t size = 0;
  while (size <= kMaxFileSize) {
    if (text.size() == size) text.resize(2 * size);
    const ssize_t count = ::read(fd.get(), text.data() + size, text.size() - size);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return failed(errno);
    if (count == 0) {
      text.resize(size);
      return text;
    }
    size += static_cast<size_t>(count);
  }
  return fail("it is larger than {} MiB", kMaxFileSize >> 20);
}

Result<std::string> MemoryReader::read(const std::string& path) const {
  const auto file = files_.find(path);
  if (file == files_.end()) return failed(ENOENT);
  return file->second;
}

}  // namespace pagurus::qapi_gen
