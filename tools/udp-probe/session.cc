// Sockets, pacing and time stamps.

#include "session.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#ifndef SO_RXQ_OVFL
#define SO_RXQ_OVFL 40
#endif

namespace pagurus::udp_probe {
namespace {

constexpr uint32_t kMagic = 0x50475550;

// What every packet begins with, in host order: it only comes back to us.
struct Header {
  uint32_t magic;
  uint32_t session;
  uint64_t sequence;
  int64_t sent_ns;
};
static_assert(sizeof(Header) == 24);

int64_t to_ns(const timespec& t) { return int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec; }

int64_t now_ns(clockid_t id) {
  timespec t{};
  clock_gettime(id, &t);
  return to_ns(t);
}

std::string describe_errno(const char* what) { return std::string(what) + ": " + std::strerror(errno) + "."; }

// Owns the socket's descriptor.
class Socket {
 public:
  Socket() = default;
  explicit Socket(int fd) : fd_(fd) {}
  Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Socket& operator=(Socket&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Socket() {
    if (fd_ >= 0) close(fd_);
  }
  int fd() const { return fd_; }

 private:
  int fd_ = -1;
};

std::expected<void, std::string> bind_local(int fd, int family, const std::string& address) {
  addrinfo hints{};
  hints.ai_family = family;
  hints.ai_socktype = SOCK_DGRAM;
  hints.ai_flags = AI_NUMERICHOST;
  addrinfo* found = nullptr;
  if (getaddrinfo(address.c_str(), "0", &hints, &found) != 0) {
    return std::unexpected("'" + address + "' is no address to bind to.");
  }
  const int rc = bind(fd, found->ai_addr, found->ai_addrlen);
  freeaddrinfo(found);
  if (rc != 0) return std::unexpected(describe_errno("Cannot bind the local address"));
  return {};
}

std::expected<Socket, std::string> open_socket(const Options& o) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_DGRAM;
  addrinfo* found = nullptr;
  if (const int rc = getaddrinfo(o.host.c_str(), std::to_string(o.port).c_str(), &hints, &found); rc != 0) {
    return std::unexpected("Cannot find the host '" + o.host + "': " + gai_strerror(rc) + ".");
  }
  const addrinfo target = *found;
  Socket socket(::socket(target.ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const int on = 1;
  const int buffer = 8 << 20;
  // Without privileges the kernel's limit holds; drops in our own queue are reported.
  if (setsockopt(socket.fd(), SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof(buffer)) != 0) {
    setsockopt(socket.fd(), SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer));
  }
  setsockopt(socket.fd(), SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on));
  setsockopt(socket.fd(), SOL_SOCKET, SO_RXQ_OVFL, &on, sizeof(on));
  std::expected<void, std::string> bound;
  if (!o.bind_address.empty()) bound = bind_local(socket.fd(), target.ai_family, o.bind_address);
  const int rc = bound ? connect(socket.fd(), target.ai_addr, target.ai_addrlen) : 0;
  freeaddrinfo(found);
  if (!bound) return std::unexpected(bound.error());
  if (rc != 0) return std::unexpected(describe_errno(("Cannot reach '" + o.host + "'").c_str()));
  return socket;
}

// The receiving thread.  Ends when the sender has, and everything came back or nothing has for the drain time.
class Receiver {
 public:
  Receiver(int fd, uint32_t session, double drain_s)
      : fd_(fd), session_(session), drain_ns_(static_cast<int64_t>(drain_s * 1e9)) {
    for (size_t i = 0; i < kBatch; ++i) {
      vectors_[i] = {buffers_[i].data(), buffers_[i].size()};
      messages_[i].msg_hdr.msg_iov = &vectors_[i];
      messages_[i].msg_hdr.msg_iovlen = 1;
    }
  }

  void run() {
    int64_t quiet_since = 0;
    uint64_t replies = 0;
    for (;;) {
      pollfd p{fd_, POLLIN, 0};
      const int ready = poll(&p, 1, 50);
      if (ready > 0) receive();
      const uint64_t sent = sent_total.load();
      if (sent == kUnknown) continue;
      if (result.ledger.replies() >= sent) return;
      const int64_t now = now_ns(CLOCK_MONOTONIC);
      // What still waits in somebody's queue is late, not lost.
      if (quiet_since == 0 || result.ledger.replies() != replies) quiet_since = now;
      replies = result.ledger.replies();
      if (now - quiet_since > drain_ns_) return;
    }
  }

  static constexpr uint64_t kUnknown = ~uint64_t{0};
  std::atomic<uint64_t> sent_total = kUnknown;  // set once by the sender when it has ended
  std::atomic<uint64_t> replies_so_far = 0;
  Outcome result;

 private:
  static constexpr size_t kBatch = 64;

  void receive() {
    for (size_t i = 0; i < kBatch; ++i) {
      messages_[i].msg_hdr.msg_control = controls_[i].data();
      messages_[i].msg_hdr.msg_controllen = controls_[i].size();
    }
    const int n = recvmmsg(fd_, messages_.data(), kBatch, MSG_DONTWAIT, nullptr);
    if (n < 0) {
      if (errno != EAGAIN && errno != EINTR) ++result.icmp_errors;
      return;
    }
    for (int i = 0; i < n; ++i) take(messages_[static_cast<size_t>(i)], buffers_[static_cast<size_t>(i)].data());
    replies_so_far.store(result.ledger.replies(), std::memory_order_relaxed);
  }

  void take(mmsghdr& message, const char* data) {
    int64_t received = 0;
    for (cmsghdr* c = CMSG_FIRSTHDR(&message.msg_hdr); c != nullptr; c = CMSG_NXTHDR(&message.msg_hdr, c)) {
      if (c->cmsg_level != SOL_SOCKET) continue;
      if (c->cmsg_type == SCM_TIMESTAMPNS) {
        timespec t{};
        std::memcpy(&t, CMSG_DATA(c), sizeof(t));
        received = to_ns(t);
      } else if (c->cmsg_type == SO_RXQ_OVFL) {
        uint32_t drops = 0;
        std::memcpy(&drops, CMSG_DATA(c), sizeof(drops));
        result.local_drops = drops;
      }
    }
    if (received == 0) received = now_ns(CLOCK_REALTIME);
    Header header{};
    if (message.msg_len >= sizeof(header)) std::memcpy(&header, data, sizeof(header));
    // A damaged sequence number must not make the ledger grow without limit.
    if (header.magic != kMagic || header.session != session_ || header.sequence > (uint64_t{1} << 36)) {
      ++result.foreign;
      return;
    }
    result.ledger.reply(header.sequence, header.sent_ns, received);
  }

  const int fd_;
  const uint32_t session_;
  const int64_t drain_ns_;
  std::array<std::array<char, 1600>, kBatch> buffers_{};
  std::array<std::array<char, 128>, kBatch> controls_{};
  std::array<iovec, kBatch> vectors_{};
  std::array<mmsghdr, kBatch> messages_{};
};

// The sending loop, on the caller's thread.
class Sender {
 public:
  Sender(const Options& o, int fd, uint32_t session, Receiver& receiver)
      : options_(o), fd_(fd), receiver_(receiver), packet_(o.size) {
    for (size_t i = 0; i < packet_.size(); ++i) packet_[i] = static_cast<char>(i * 7);
    const Header header{kMagic, session, 0, 0};
    std::memcpy(packet_.data(), &header, sizeof(header));
  }

  void run(const std::atomic<bool>& stop) {
    prctl(PR_SET_TIMERSLACK, 1UL);  // the default of 50 us would blur a rate of 10,000 per second
    const int64_t start = now_ns(CLOCK_MONOTONIC);
    const double interval = 1e9 / options_.rate;
    const auto limit = options_.duration_s > 0 ? static_cast<int64_t>(options_.duration_s * 1e9) : INT64_MAX;
    int64_t previous = start;
    int64_t next_report = report_step();
    for (uint64_t n = 0; !stop && (options_.count == 0 || n < options_.count); ++n) {
      const auto due = static_cast<int64_t>(static_cast<double>(n) * interval);
      if (due >= limit) break;
      sleep_until(start + due, stop);
      const int64_t now = now_ns(CLOCK_MONOTONIC);
      longest_gap_ns = std::max(longest_gap_ns, now - previous);
      previous = now;
      send_one();
      if (now - start >= next_report) {
        progress(now - start);
        next_report += report_step();
      }
    }
    elapsed_ns = now_ns(CLOCK_MONOTONIC) - start;
  }

  uint64_t sent = 0;
  uint64_t refused = 0;
  uint64_t icmp_errors = 0;
  int64_t elapsed_ns = 0;
  int64_t longest_gap_ns = 0;

 private:
  int64_t report_step() const {
    return options_.report_every_s > 0 ? static_cast<int64_t>(options_.report_every_s * 1e9) : INT64_MAX / 2;
  }

  static void sleep_until(int64_t ns, const std::atomic<bool>& stop) {
    const timespec t{ns / 1'000'000'000, ns % 1'000'000'000};
    while (!stop && clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, nullptr) == EINTR) {
    }
  }

  void send_one() {
    std::memcpy(packet_.data() + offsetof(Header, sequence), &sent, sizeof(sent));
    for (int attempt = 0; attempt < 2; ++attempt) {
      const int64_t time = now_ns(CLOCK_REALTIME);
      std::memcpy(packet_.data() + offsetof(Header, sent_ns), &time, sizeof(time));
      if (send(fd_, packet_.data(), packet_.size(), 0) >= 0) {
        ++sent;
        return;
      }
      // An ICMP error for an earlier packet is reported here and says nothing about this one.
      if (errno != ECONNREFUSED && errno != EHOSTUNREACH) break;
      ++icmp_errors;
    }
    ++refused;
  }

  void progress(int64_t elapsed) const {
    const uint64_t back = receiver_.replies_so_far.load(std::memory_order_relaxed);
    std::fprintf(stderr, "udp-probe: %.1f s, sent %llu, replies %llu, outstanding %lld\n",
                 static_cast<double>(elapsed) / 1e9, static_cast<unsigned long long>(sent),
                 static_cast<unsigned long long>(back), static_cast<long long>(sent - back));
  }

  const Options& options_;
  const int fd_;
  Receiver& receiver_;
  std::vector<char> packet_;
};

}  // namespace

std::expected<Outcome, std::string> run_session(const Options& options, const std::atomic<bool>& stop) {
  auto socket = open_socket(options);
  if (!socket) return std::unexpected(socket.error());
  const auto session = static_cast<uint32_t>(now_ns(CLOCK_REALTIME) ^ (int64_t{getpid()} << 16));
  auto receiver = std::make_unique<Receiver>(socket->fd(), session, options.drain_s);
  std::thread thread([&] { receiver->run(); });
  Sender sender(options, socket->fd(), session, *receiver);
  sender.run(stop);
  receiver->sent_total = sender.sent;
  thread.join();
  Outcome outcome = std::move(receiver->result);
  outcome.sent = sender.sent;
  outcome.refused = sender.refused;
  outcome.icmp_errors += sender.icmp_errors;
  outcome.elapsed_ns = sender.elapsed_ns;
  outcome.longest_send_gap_ns = sender.longest_gap_ns;
  return outcome;
}

}  // namespace pagurus::udp_probe
