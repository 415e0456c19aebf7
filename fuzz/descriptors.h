// Descriptors such as a stranger sends: each byte of the input makes one, of a kind that the receiver
// may or may not have expected.
#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace pagurus::fuzz {

enum DescriptorKind : uint8_t {
  kSocket,
  kListener,
  kPipeIn,
  kPipeOut,
  kMemory,
  kSealedMemory,
  kNull,
  kTun,
  kDatagrams,
  kDescriptorKinds
};

inline UniqueFd end_of_pipe(unsigned end) {
  int ends[2];
  CHECK(::pipe2(ends, O_CLOEXEC) == 0, "a pipe");
  ::close(ends[1 - end]);
  return UniqueFd(ends[end]);
}

inline UniqueFd memory_file(bool sealed) {
  UniqueFd fd(::memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  CHECK(fd && ::ftruncate(fd.get(), 4096) == 0, "a memfd");
  if (sealed) ::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW);
  return fd;
}

inline UniqueFd listening_socket() {
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  // An address of the kernel's choice, in no file system.
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  bool listens = ::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address.sun_family) == 0 &&
                 ::listen(fd.get(), 1) == 0;
  CHECK(listens, "a listening socket");
  return fd;
}

inline UniqueFd make_descriptor(uint8_t kind) {
  switch (kind % kDescriptorKinds) {
    case kSocket: {
      int ends[2];
      CHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0, "a socket pair");
      (void)!::write(ends[1], "input", 5);
      ::close(ends[1]);
      return UniqueFd(ends[0]);
    }
    case kDatagrams: {
      int ends[2];
      CHECK(::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends) == 0, "a socket pair");
      (void)!::write(ends[1], "input", 5);
      ::close(ends[1]);
      return UniqueFd(ends[0]);
    }
    case kListener: return listening_socket();
    case kPipeIn: return end_of_pipe(0);
    case kPipeOut: return end_of_pipe(1);
    case kMemory: return memory_file(false);
    case kSealedMemory: return memory_file(true);
    case kTun: {
      // Attached to no interface; where there is none, another descriptor that is wrong.
      UniqueFd tun(::open("/dev/net/tun", O_RDWR | O_CLOEXEC));
      if (tun) return tun;
      [[fallthrough]];
    }
    default: return UniqueFd(::open("/dev/null", O_RDWR | O_CLOEXEC));
  }
}

inline std::vector<UniqueFd> make_descriptors(std::span<const uint8_t> kinds) {
  std::vector<UniqueFd> fds;
  for (uint8_t kind : kinds) fds.push_back(make_descriptor(kind));
  return fds;
}

// Files of /proc are not counted: a thread of AddressSanitizer opens one now and then to watch its limit of
// memory, and the directory read here is another.
inline size_t open_descriptors() {
  size_t count = 0;
  DIR* directory = ::opendir("/proc/self/fd");
  CHECK(directory != nullptr, "this process can look at itself");
  while (dirent* entry = ::readdir(directory)) {
    char target[64];
    ssize_t length = ::readlinkat(::dirfd(directory), entry->d_name, target, sizeof target);
    if (length > 0 && !std::string_view(target, static_cast<size_t>(length)).starts_with("/proc/")) ++count;
  }
  ::closedir(directory);
  return count;
}

}  // namespace pagurus::fuzz
