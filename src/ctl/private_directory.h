// PrivateDirectory: where two processes of one user meet on a socket that nobody else can reach.
#pragma once

#include <string>
#include <utility>

#include "base/result.h"
#include "ctl/running_process.h"

namespace pagurus::ctl {

class PrivateDirectory {
 public:
  // In $XDG_RUNTIME_DIR, /run or /tmp; it belongs to the user of that process, which may be another than we.
  static Result<PrivateDirectory> create(const RunningProcess& process);
  PrivateDirectory(PrivateDirectory&& other) noexcept : path_(std::exchange(other.path_, "")) {}
  PrivateDirectory& operator=(PrivateDirectory&&) = delete;
  // Removes it, and the socket in it if there is one.
  ~PrivateDirectory();

  std::string socket() const { return path_ + "/handover.sock"; }

 private:
  explicit PrivateDirectory(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

}  // namespace pagurus::ctl
