#include "ctl/successor.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "ctl/incoming_arguments.h"

namespace pagurus::ctl {
namespace {

constexpr int64_t kEndGraceMs = 2000;
// Between the end of its connection and its own.
constexpr int64_t kEndNoticeMs = 100;
constexpr size_t kMaxTail = 2000;  // bytes of its messages that we repeat

struct ChildFds {
  int null;
  int log;
  int messages;
  int control;
};

// Runs in the child: writes to standard error, which is a pipe to us by then.
[[noreturn]] void give_up(const char* what) {
  dprintf(STDERR_FILENO, "%s: %s\n", what, strerror(errno));
  _exit(127);
}

void place_fds(const ChildFds& fds) {
  // Moved out of the way first: a source may have the number of another's target.
  int log = fcntl(fds.log, F_DUPFD_CLOEXEC, 16);
  int messages = fcntl(fds.messages, F_DUPFD_CLOEXEC, 16);
  int control = fcntl(fds.control, F_DUPFD_CLOEXEC, 16);
  int null = fcntl(fds.null, F_DUPFD_CLOEXEC, 16);
  dup2(messages, STDERR_FILENO);
  dup2(null, STDIN_FILENO);
  dup2(log, STDOUT_FILENO);
  dup2(control, kControlFd);
  dup2(log, kLogFd);
}

void become_user(const RunningProcess& model) {
  if (geteuid() != 0 || model.uid() == 0) return;
  const auto& groups = model.groups();
  if (setgroups(groups.size(), groups.data()) < 0) give_up("cannot take over the running process's groups");
  if (setgid(model.gid()) < 0) give_up("cannot take over the running process's group");
  if (setuid(model.uid()) < 0) give_up("cannot take over the running process's user");
}

[[noreturn]] void run_child(const std::vector<char*>& argv, const RunningProcess& model, const ChildFds& fds) {
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  signal(SIGPIPE, SIG_DFL);
  place_fds(fds);
  // A session of its own: the terminal's job control must not reach it.
  setsid();
  if (chdir(model.working_directory().c_str()) < 0) give_up("cannot enter the running process's working directory");
  become_user(model);
  execv(argv[0], argv.data());
  give_up(argv[0]);
}

}  // namespace

Result<Successor> Successor::start(const std::vector<std::string>& arguments, const RunningProcess& model,
                                   UniqueFd log) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
    return fail_errno(errno, "cannot make a socket pair");
  UniqueFd ours(pair[0]);
  UniqueFd theirs(pair[1]);
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) < 0) return fail_errno(errno, "cannot make a pipe");
  UniqueFd messages(ends[0]);
  UniqueFd writer(ends[1]);
  fcntl(messages.get(), F_SETFL, O_NONBLOCK);
  UniqueFd null(open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (!null) return fail_errno(errno, "cannot open /dev/null");

  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  pid_t pid = fork();
  if (pid < 0) return fail_errno(errno, "cannot start a process");
  if (pid == 0) run_child(argv, model, {null.get(), log.get(), writer.get(), theirs.get()});
  return Successor(pid, std::move(ours), std::move(messages));
}

Successor::Successor(Successor&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      control_(std::move(other.control_)),
      messages_(std::move(other.messages_)),
      status_(other.status_),
      ended_(other.ended_) {}

Successor::~Successor() { end(); }

bool Successor::reap(int64_t wait_ms) {
  if (pid_ < 0) return true;
  for (Patience patience = Patience::of_ms(wait_ms); !ended_;) {
    if (waitpid(pid_, &status_, WNOHANG) == pid_)
      ended_ = true;
    else if (patience.over())
      return false;
    else
      usleep(2000);
  }
  return true;
}

void Successor::end() {
  if (pid_ < 0) return;
  control_.reset();
  if (!reap(0)) kill(pid_, SIGTERM);
  if (!reap(kEndGraceMs)) kill(pid_, SIGKILL);
  reap(kEndGraceMs);
  pid_ = -1;
}

std::string Successor::read_messages() const {
  std::string text;
  char buffer[4096];
  ssize_t size;
  while ((size = read(messages_.get(), buffer, sizeof buffer)) > 0) text.append(buffer, static_cast<size_t>(size));
  if (text.size() > kMaxTail) text = "..." + text.substr(text.size() - kMaxTail);
  while (text.ends_with('\n')) text.pop_back();
  for (char& c : text) {
    if (c == '\n') c = ' ';
  }
  return text;
}

std::string Successor::obituary() {
  // It closes its end of the connection a moment before it is gone.
  if (pid_ < 0 || !reap(kEndNoticeMs)) return "";
  std::string how = WIFSIGNALED(status_) ? "was ended by signal " + std::to_string(WTERMSIG(status_))
                                         : "ended with status " + std::to_string(WEXITSTATUS(status_));
  std::string text = read_messages();
  return "the new process " + how + (text.empty() ? "" : ", saying: " + text);
}

}  // namespace pagurus::ctl
