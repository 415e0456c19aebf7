#include "ctl/running_process.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace pagurus::ctl {
namespace {

std::string proc_path(pid_t pid, std::string_view name) {
  return "/proc/" + std::to_string(pid) + "/" + std::string(name);
}

}  // namespace

Result<RunningProcess> RunningProcess::of(pid_t pid) {
  UniqueFd pidfd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (!pidfd) return fail_errno(errno, "cannot watch process {}", pid);
  RunningProcess process(pid, std::move(pidfd));
  TRY(process.read_credentials());
  return process;
}

Result<void> RunningProcess::read_credentials() {
  std::ifstream file(proc_path(pid_, "status"));
  std::string line;
  bool found = false;
  while (std::getline(file, line)) {
    std::istringstream words(line);
    std::string key;
    words >> key;
    if (key == "Uid:") found = static_cast<bool>(words >> uid_);
    if (key == "Gid:") words >> gid_;
    if (key != "Groups:") continue;
    for (gid_t group; words >> group;) groups_.push_back(group);
  }
  if (!found) return fail("cannot read {}", proc_path(pid_, "status"));
  return {};
}

std::string RunningProcess::working_directory() const { return proc_path(pid_, "cwd"); }

std::string RunningProcess::binary() const {
  constexpr std::string_view kDeleted = " (deleted)";
  std::error_code error;
  std::string path = std::filesystem::read_symlink(proc_path(pid_, "exe"), error).string();
  if (error) return "";
  if (path.ends_with(kDeleted) && !std::filesystem::exists(path, error)) {
    path.resize(path.size() - kDeleted.size());
  }
  return path;
}

Result<UniqueFd> RunningProcess::standard_error() const {
  UniqueFd same(static_cast<int>(syscall(SYS_pidfd_getfd, pidfd_.get(), STDERR_FILENO, 0)));
  if (same) return same;
  std::string path = proc_path(pid_, "fd/2");
  UniqueFd opened(open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC | O_NOCTTY));
  if (!opened) return fail_errno(errno, "cannot open '{}'", path);
  return opened;
}

Result<bool> RunningProcess::wait_end(const Patience& patience) const {
  pollfd polled[] = {{pidfd_.get(), POLLIN, 0}, {patience.interrupt_fd, POLLIN, 0}};
  while (true) {
    int count = poll(polled, 2, patience.remaining_ms());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail_errno(errno, "cannot wait for process {}", pid_);
    if (polled[0].revents != 0) return true;
    if (polled[1].revents != 0) return fail("interrupted");
    return false;
  }
}

}  // namespace pagurus::ctl
