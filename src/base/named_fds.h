// File descriptors that a client has passed under a name (QMP `getfd`), until an option uses them.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/unique_fd.h"

namespace pagurus {

// Control thread only.
class NamedFds {
 public:
  // Replaces (and closes) one of the same name, as QEMU does.
  void add(std::string name, UniqueFd fd) { fds_.insert_or_assign(std::move(name), std::move(fd)); }
  // Takes the fd of that name.
  Result<UniqueFd> take(std::string_view name) {
    auto found = fds_.find(name);
    if (found == fds_.end()) return fail("File descriptor named '{}' has not been found", name);
    UniqueFd fd = std::move(found->second);
    fds_.erase(found);
    return fd;
  }
  // `fd=` of an option: a number names a descriptor this process was started with, anything else
  // one passed by getfd.
  Result<UniqueFd> resolve(const std::string& value) {
    bool number = !value.empty() && value.find_first_not_of("0123456789") == std::string::npos;
    if (!number) return take(value);
    if (value.size() > 7) return fail("'{}' is not a file descriptor", value);
    return duplicate(std::stoi(value));
  }

 private:
  std::map<std::string, UniqueFd, std::less<>> fds_;
};

}  // namespace pagurus
