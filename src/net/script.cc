#include "net/script.h"

#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

namespace pagurus::net {

Result<void> run_script(const std::string& script, const std::string& ifname) {
  // The child starts with no signal blocked; every descriptor of ours is close-on-exec.
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  char* const arguments[] = {const_cast<char*>(script.c_str()), const_cast<char*>(ifname.c_str()), nullptr};
  pid_t pid = 0;
  int error = ::posix_spawn(&pid, script.c_str(), nullptr, &attributes, arguments, environ);
  posix_spawnattr_destroy(&attributes);
  if (error != 0) return fail_errno(error, "cannot run network script '{}'", script);
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) return fail_errno(errno, "cannot wait for network script '{}'", script);
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  return fail("network script '{} {}' failed with {} {}", script, ifname, WIFSIGNALED(status) ? "signal" : "status",
              WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

}  // namespace pagurus::net
