#include "ctl/private_directory.h"

#include <unistd.h>

#include <cerrno>
#include <cstdlib>

namespace pagurus::ctl {

Result<PrivateDirectory> PrivateDirectory::create(const RunningProcess& process) {
  const char* runtime = getenv("XDG_RUNTIME_DIR");
  for (std::string base : {std::string(runtime == nullptr ? "" : runtime), std::string("/run"), std::string("/tmp")}) {
    if (base.empty()) continue;
    std::string path = base + "/pagurusctl-XXXXXX";
    if (mkdtemp(path.data()) == nullptr) continue;
    PrivateDirectory directory(path);
    if (geteuid() == 0 && process.uid() != 0 && chown(path.c_str(), process.uid(), process.gid()) < 0) {
      return fail_errno(errno, "cannot give '{}' to user {}", path, process.uid());
    }
    return directory;
  }
  return fail("cannot create a directory for the hand-over's socket in $XDG_RUNTIME_DIR, /run or /tmp");
}

PrivateDirectory::~PrivateDirectory() {
  if (path_.empty()) return;
  unlink(socket().c_str());
  rmdir(path_.c_str());
}

}  // namespace pagurus::ctl
