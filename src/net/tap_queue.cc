#include "net/tap_queue.h"

#include <fcntl.h>
#include <linux/kcmp.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>

namespace pagurus::net {

Result<ifreq> TapQueue::inspect(int fd) {
  ifreq request{};
  struct stat info {};
  // TUNGETIFF's number may mean something else to another device: look at what the descriptor is first.
  constexpr unsigned kMiscMajor = 10, kTunMinor = 200;
  bool tun_device = ::fstat(fd, &info) == 0 && S_ISCHR(info.st_mode) && info.st_rdev == makedev(kMiscMajor, kTunMinor);
  if (!tun_device) return fail("file descriptor {} is not a TAP (it is no open /dev/net/tun)", fd);
  if (::ioctl(fd, TUNGETIFF, &request) != 0) {
    return fail_errno(errno, "file descriptor {} is not attached to a TAP", fd);
  }
  if ((request.ifr_flags & IFF_TAP) == 0) return fail("file descriptor {} is a TUN, not a TAP", fd);
  if ((::fcntl(fd, F_GETFL) & O_ACCMODE) != O_RDWR) {
    return fail("TAP '{}' is not open for reading and writing", request.ifr_name);
  }
  return request;
}

Result<void> TapQueue::check_distinct(std::span<const int> fds, size_t index, const char* ifname) {
  for (size_t other = 0; other < index; ++other) {
    bool same = ::syscall(SYS_kcmp, ::getpid(), ::getpid(), KCMP_FILE, fds[index], fds[other]) == 0;
    if (same) return fail("queues {} and {} of TAP '{}' are the same one", other, index, ifname);
  }
  return {};
}

std::string TapQueue::name() const {
  ifreq request{};
  return ::ioctl(descriptor_.get(), TUNGETIFF, &request) == 0 ? request.ifr_name : "";
}

Result<void> TapQueue::attach(bool on) {
  if (on == attached_) return {};
  ifreq request{};
  request.ifr_flags = static_cast<short>(on ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE);
  if (::ioctl(descriptor_.get(), TUNSETQUEUE, &request) != 0) {
    return fail_errno(errno, "cannot {} a queue", on ? "attach" : "detach");
  }
  attached_ = on;
  return {};
}

IoResult TapQueue::receive(std::span<const iovec> frame) {
  ssize_t size = ::readv(descriptor_.get(), frame.data(), static_cast<int>(frame.size()));
  if (size >= 0) return {IoStatus::kOk, static_cast<size_t>(size)};
  return {errno == EAGAIN || errno == EINTR ? IoStatus::kWouldBlock : IoStatus::kDropped, 0};
}

IoResult TapQueue::transmit(std::span<const iovec> frame) {
  ssize_t size = ::writev(descriptor_.get(), frame.data(), static_cast<int>(frame.size()));
  if (size >= 0) return {IoStatus::kOk, static_cast<size_t>(size)};
  return {errno == EAGAIN || errno == EINTR ? IoStatus::kWouldBlock : IoStatus::kDropped, 0};
}

}  // namespace pagurus::net
