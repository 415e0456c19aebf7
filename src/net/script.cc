#include "net/script.h"

#include "net/child_process.h"

namespace pagurus::net {

Result<void> run_script(const std::string& script, const std::string& ifname) {
  pid_t child = TRY_DOING("network script", spawn({script, ifname}));
  auto failure = TRY_DOING(fmt::format("network script '{}'", script), wait_for_failure(child));
  if (failure) return fail("network script '{} {}' failed with {}", script, ifname, *failure);
  return {};
}

}  // namespace pagurus::net
