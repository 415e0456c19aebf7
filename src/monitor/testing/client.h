// A QMP client for unit tests, over one end of a socket pair; the session under test has the other.
//
// Threads: one; send() may run beside line().
#pragma once

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace pagurus::monitor::testing {

inline constexpr const char* kNegotiate = R"({"execute": "qmp_capabilities"})";

class Client {
 public:
  Client() {
    int pair[2];
    CHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0, "a test has descriptors to spare");
    ours_.reset(pair[0]);
    server_.reset(pair[1]);
  }

  UniqueFd take_server_end() { return std::move(server_); }

  void send(std::string_view text) {
    ssize_t size = ::send(ours_.get(), text.data(), text.size(), MSG_NOSIGNAL);
    CHECK(size == static_cast<ssize_t>(text.size()), "a blocking socket takes all of it");
  }

  void send_with_fds(std::string_view text, const std::vector<int>& fds) {
    alignas(cmsghdr) char control[256] = {};
    iovec bytes{const_cast<char*>(text.data()), text.size()};
    msghdr message{};
    message.msg_iov = &bytes;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
    cmsghdr* part = CMSG_FIRSTHDR(&message);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
    std::memcpy(CMSG_DATA(part), fds.data(), fds.size() * sizeof(int));
    CHECK(::sendmsg(ours_.get(), &message, 0) == static_cast<ssize_t>(text.size()), "a blocking socket takes all");
  }

  // One line with its end; "<timeout>" or "<closed>" if none comes.
  std::string raw_line(int timeout_ms = 5000) {
    while (input_.find('\n') == std::string::npos) {
      pollfd ready{ours_.get(), POLLIN, 0};
      if (::poll(&ready, 1, timeout_ms) != 1) return "<timeout>";
      char buffer[65536];
      ssize_t size = ::read(ours_.get(), buffer, sizeof buffer);
      if (size <= 0) return "<closed>";
      input_.append(buffer, static_cast<size_t>(size));
    }
    std::string result = input_.substr(0, input_.find('\n') + 1);
    input_.erase(0, result.size());
    return result;
  }
  // Without its end.
  std::string line(int timeout_ms = 5000) {
    std::string result = raw_line(timeout_ms);
    while (result.ends_with('\n') || result.ends_with('\r')) result.pop_back();
    return result;
  }
  std::string ask(std::string_view text) {
    send(text);
    return line();
  }

  void end_sending() { ::shutdown(ours_.get(), SHUT_WR); }
  void hang_up() { ours_.reset(); }

 private:
  UniqueFd ours_;
  UniqueFd server_;
  std::string input_;
};

}  // namespace pagurus::monitor::testing
