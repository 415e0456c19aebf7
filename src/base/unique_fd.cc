#include "base/unique_fd.h"

#include <fcntl.h>
#include <sys/eventfd.h>

#include <cerrno>

namespace pagurus {

Result<UniqueFd> duplicate(int fd) {
  int copy = ::fcntl(fd, F_DUPFD_CLOEXEC, 3);
  if (copy < 0) return fail_errno(errno, "cannot duplicate file descriptor {}", fd);
  return UniqueFd(copy);
}

Result<UniqueFd> make_eventfd() {
  int fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (fd < 0) return fail_errno(errno, "cannot create an eventfd");
  return UniqueFd(fd);
}

void signal_eventfd(int fd, uint64_t count) {
  ssize_t written = ::write(fd, &count, sizeof count);
  CHECK(written == sizeof count || errno == EAGAIN, "an eventfd takes a count unless it is full");
}

uint64_t drain_eventfd(int fd) {
  uint64_t count = 0;
  return ::read(fd, &count, sizeof count) == sizeof count ? count : 0;
}

}  // namespace pagurus
