#include "ctl/patience.h"

#include <poll.h>

#include <array>
#include <cerrno>

namespace pagurus::ctl {

Result<Ready> wait_for(int fd, short events, const Patience& patience) {
  std::array<pollfd, 2> polled{pollfd{fd, events, 0}, pollfd{patience.interrupt_fd, POLLIN, 0}};
  while (true) {
    int count = poll(polled.data(), polled.size(), patience.remaining_ms());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail_errno(errno, "cannot wait for an answer");
    if (polled[1].revents != 0) return fail("interrupted");
    return count == 0 ? Ready::kTimeout : Ready::kYes;
  }
}

}  // namespace pagurus::ctl
