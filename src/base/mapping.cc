#include "base/mapping.h"

#include <sys/mman.h>

#include <cerrno>
#include <utility>

namespace pagurus {

Result<Mapping> Mapping::of_fd(int fd, uint64_t offset, size_t size, Sharing sharing) {
  int flags = sharing == Sharing::kShared ? MAP_SHARED : MAP_PRIVATE;
  void* data = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, flags, fd, static_cast<off_t>(offset));
  if (data == MAP_FAILED) return fail_errno(errno, "cannot map {} bytes of file descriptor {}", size, fd);
  return Mapping(static_cast<uint8_t*>(data), size);
}

Mapping::Mapping(Mapping&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

Mapping& Mapping::operator=(Mapping&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

Mapping::~Mapping() {
  if (data_ != nullptr) ::munmap(data_, size_);
}

}  // namespace pagurus
