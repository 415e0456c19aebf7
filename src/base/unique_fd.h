// The one owner of a file descriptor.
#pragma once

#include <unistd.h>

#include <cstdint>
#include <utility>

#include "base/result.h"

namespace pagurus {

class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    reset(std::exchange(other.fd_, -1));
    return *this;
  }
  ~UniqueFd() { reset(); }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }
  void reset(int fd = -1) {
    int old = std::exchange(fd_, fd);
    if (old >= 0) ::close(old);
  }

 private:
  int fd_ = -1;
};

// A second descriptor, O_CLOEXEC, of the same open file description.
Result<UniqueFd> duplicate(int fd);
// A non-blocking, close-on-exec eventfd with counter 0.
Result<UniqueFd> make_eventfd();
// Adds to an eventfd's counter; a full counter is as good as one more.
void signal_eventfd(int fd, uint64_t count = 1);
// Sets an eventfd's counter back to 0.  Returns what it was.
uint64_t drain_eventfd(int fd);

}  // namespace pagurus
