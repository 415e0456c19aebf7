// Programs that the operator names, run as children of this process.  No shell is involved.
#pragma once

#include <spawn.h>
#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace pagurus::net {

// words[0] is the path of the program.  It starts with no signal blocked, with standard input, output and error of this
// process, and with what `actions` give it: every other descriptor of ours is close-on-exec.
Result<pid_t> spawn(const std::vector<std::string>& words, const posix_spawn_file_actions_t* actions = nullptr);
// Waits for the end of a child.  Returns how it failed ("status 1"), or nothing if it exited with 0.
Result<std::optional<std::string>> wait_for_failure(pid_t child);

}  // namespace pagurus::net
