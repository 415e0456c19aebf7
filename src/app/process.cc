#include "app/process.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <fstream>

namespace pagurus::app {
namespace {

[[noreturn]] void wait_and_exit(pid_t child, int ready) {
  char byte = 0;
  ssize_t size = 0;
  do size = read(ready, &byte, 1);
  while (size < 0 && errno == EINTR);
  if (size == 1) _exit(0);
  int status = 0;
  waitpid(child, &status, 0);
  _exit(WIFEXITED(status) && WEXITSTATUS(status) != 0 ? WEXITSTATUS(status) : 1);
}

}  // namespace

void give_threads_small_stacks() {
  pthread_attr_t attributes;
  ::pthread_attr_init(&attributes);
  ::pthread_attr_setstacksize(&attributes, 1 << 20);
  ::pthread_setattr_default_np(&attributes);
  ::pthread_attr_destroy(&attributes);
}

void make_room_for_descriptors() {
  constexpr rlim_t kWanted = 4096;
  rlimit limit{};
  UniqueFd any(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (!any || ::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  // The table grows with its highest descriptor, and never shrinks.
  UniqueFd highest(::fcntl(any.get(), F_DUPFD_CLOEXEC, static_cast<int>(std::min(kWanted, limit.rlim_cur)) - 1));
}

Result<Background> Background::enter() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) < 0) return fail_errno(errno, "-daemonize: cannot make a pipe");
  UniqueFd reader(ends[0]);
  UniqueFd writer(ends[1]);
  pid_t child = fork();
  if (child < 0) return fail_errno(errno, "-daemonize: cannot fork");
  if (child > 0) {
    writer.reset();
    wait_and_exit(child, reader.get());
  }
  setsid();
  return Background(std::move(writer));
}

void Background::report_ready() {
  // The working directory stays: paths of the command line must keep their meaning for the process
  // that will replace this one.
  UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  for (int fd : {0, 1, 2}) dup2(null.get(), fd);
  char byte = 1;
  // If the parent has gone, nobody waits for the byte.
  [[maybe_unused]] ssize_t size = ::write(ready_.get(), &byte, 1);
  ready_.reset();
}

PidFile::PidFile(std::string path) {
  if (!path.empty()) path_ = std::filesystem::absolute(path).string();
}

Result<void> PidFile::write() {
  if (path_.empty()) return {};
  std::string temporary = path_ + "." + std::to_string(getpid());
  UniqueFd file(open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  if (!file) return fail_errno(errno, "-pidfile: cannot create '{}'", temporary);
  std::string text = std::to_string(getpid()) + "\n";
  bool good = ::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
  if (!good || rename(temporary.c_str(), path_.c_str()) < 0) {
    int error = errno;
    unlink(temporary.c_str());
    return fail_errno(error, "-pidfile: cannot write '{}'", path_);
  }
  written_ = true;
  return {};
}

PidFile::~PidFile() {
  if (!written_) return;
  pid_t owner = 0;
  std::ifstream(path_) >> owner;
  if (owner == getpid()) unlink(path_.c_str());
}

Result<UniqueFd> open_log(const LogTarget& target) {
  if (target.path.empty()) return UniqueFd(target.fd);
  UniqueFd file(open(target.path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  if (!file) return fail_errno(errno, "-D: cannot open '{}'", target.path);
  return file;
}

Result<void> redirect_log(UniqueFd log) {
  if (log && dup2(log.get(), STDERR_FILENO) < 0) return fail_errno(errno, "-D: cannot log to fd {}", log.get());
  return {};
}

}  // namespace pagurus::app
