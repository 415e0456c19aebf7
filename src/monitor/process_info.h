// What this process is: asked for by query-process, so that it can be started again as it was.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace pagurus::monitor {

struct ProcessInfo {
  std::string binary;                     // path at the time of the start
  std::vector<std::string> command_line;  // argv, argv[0] included
  int64_t started_realtime_ns = 0;
  int64_t started_monotonic_ns = 0;

  // To be called at the start of main().
  static ProcessInfo of_this_process(int argc, const char* const* argv);
};

}  // namespace pagurus::monitor
