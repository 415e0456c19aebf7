#include "net/bridge_helper.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/log.h"
#include "net/child_process.h"

namespace pagurus::net {
namespace {

using Clock = std::chrono::steady_clock;

// The socket's number in the helper, the first behind the standard ones.
constexpr int kSocketInHelper = 3;
// As much of what the helper says as fits into an error.
constexpr size_t kMostSaid = 1000;

Result<pid_t> start(const BridgeHelper& helper, int socket, int standard_error) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, standard_error, STDERR_FILENO);
  posix_spawn_file_actions_adddup2(&actions, socket, kSocketInHelper);
  // This process may have inherited descriptors that are not close-on-exec.
  posix_spawn_file_actions_addclosefrom_np(&actions, kSocketInHelper + 1);
  auto child = spawn(
      {helper.program, "--use-vnet", fmt::format("--fd={}", kSocketInHelper), fmt::format("--br={}", helper.bridge)},
      &actions);
  posix_spawn_file_actions_destroy(&actions);
  return child;
}

// One piece of what the helper says, if there is any.  False: there will be no more.
bool listen_to(int pipe, std::string& said) {
  char buffer[4096];
  ssize_t size = ::read(pipe, buffer, sizeof buffer);
  if (size < 0) return errno == EAGAIN || errno == EINTR;
  said.append(buffer, std::min(static_cast<size_t>(size), kMostSaid - said.size()));
  return size > 0;
}

// Until the helper has ended; listens meanwhile, so that a full pipe does not hold it up.  Its own children may hold
// the pipe for longer.
Result<void> listen_until_end(pid_t child, std::chrono::seconds patience, int pipe, std::string& said) {
  UniqueFd end(static_cast<int>(::syscall(SYS_pidfd_open, child, 0)));
  if (!end) return fail_errno(errno, "cannot watch process {}", child);
  auto deadline = Clock::now() + patience;
  // In this order: what it said last is seen with its end.
  pollfd watched[] = {{end.get(), POLLIN, 0}, {pipe, POLLIN, 0}};
  for (;;) {
    auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) return fail("it was stopped because it had not ended after {} seconds", patience.count());
    int ready = ::poll(watched, std::size(watched), static_cast<int>(left));
    if (ready < 0 && errno != EINTR) return fail_errno(errno, "cannot watch process {}", child);
    if (ready <= 0) continue;
    if (watched[1].revents != 0 && !listen_to(pipe, said)) watched[1].fd = -1;
    if (watched[0].revents != 0) return {};
  }
}

// What the helper sent before it ended; none if it is no descriptor.
UniqueFd receive(int socket) {
  char byte = 0;
  iovec data{&byte, sizeof byte};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  // Not the space, in which there is room for a second one.
  message.msg_controllen = CMSG_LEN(sizeof(int));
  ssize_t size = ::recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  const cmsghdr* part = size < 0 ? nullptr : CMSG_FIRSTHDR(&message);
  if (part == nullptr || part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) return {};
  int fd = -1;
  std::memcpy(&fd, CMSG_DATA(part), sizeof fd);
  return UniqueFd(fd);
}

// ": what it said", in one line; whether other bytes are characters is not known.
std::string quoted(std::string said) {
  auto last = said.find_last_not_of(" \n");
  if (last == said.npos) return "";
  said.resize(last + 1);
  for (char& c : said) {
    if (c == '\n' || c == '\t') c = ' ';
    if (static_cast<unsigned char>(c) >= 0x80) c = '?';
  }
  return ": " + printable(said);
}

}  // namespace

Result<UniqueFd> run_bridge_helper(const BridgeHelper& helper) {
  std::string name = fmt::format("bridge helper '{}'", helper.program);
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    return fail_errno(errno, "cannot create a socket");
  UniqueFd socket(ends[0]), its_socket(ends[1]);
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno(errno, "cannot create a pipe");
  UniqueFd pipe(ends[0]), its_pipe(ends[1]);
  // Only this end: the helper's would be the helper's trouble.
  if (::fcntl(pipe.get(), F_SETFL, O_NONBLOCK) != 0) return fail_errno(errno, "cannot make a pipe non-blocking");
  pid_t child = TRY_DOING(name, start(helper, its_socket.get(), its_pipe.get()));
  its_socket.reset();
  its_pipe.reset();

  std::string said;
  if (auto end = listen_until_end(child, helper.patience, pipe.get(), said); !end) {
    // One that may not be killed is not waited for either.
    if (::kill(child, SIGKILL) == 0) (void)wait_for_failure(child);
    return fail("{}: {}{}", name, end.error().message(), quoted(said));
  }
  auto failure = TRY_DOING(name, wait_for_failure(child));
  if (failure) return fail("{} failed with {}{}", name, *failure, quoted(said));
  UniqueFd tap = receive(socket.get());
  if (!tap) return fail("{} passed no file descriptor{}", name, quoted(said));
  if (!said.empty()) log_warning("{}{}", name, quoted(said));
  return tap;
}

}  // namespace pagurus::net
