#include "ctl/signals.h"

#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

namespace pagurus::ctl {

Result<UniqueFd> catch_signals(std::initializer_list<int> numbers) {
  sigset_t set;
  sigemptyset(&set);
  for (int number : numbers) sigaddset(&set, number);
  sigprocmask(SIG_BLOCK, &set, nullptr);
  signal(SIGPIPE, SIG_IGN);
  UniqueFd fd(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) return fail_errno(errno, "cannot watch signals");
  return fd;
}

Result<UniqueFd> catch_interrupts() { return catch_signals({SIGINT, SIGTERM, SIGHUP}); }

int take_signal(const UniqueFd& fd) {
  signalfd_siginfo info;
  return read(fd.get(), &info, sizeof info) == sizeof info ? static_cast<int>(info.ssi_signo) : 0;
}

}  // namespace pagurus::ctl
