#include "monitor/process_info.h"

#include <filesystem>

#include "base/clock.h"

namespace pagurus::monitor {

ProcessInfo ProcessInfo::of_this_process(int argc, const char* const* argv) {
  std::error_code error;
  auto binary = std::filesystem::read_symlink("/proc/self/exe", error);
  return {.binary = error ? std::string(argv[0]) : binary.string(),
          .command_line = {argv, argv + argc},
          .started_realtime_ns = realtime_ns(),
          .started_monotonic_ns = monotonic_ns()};
}

}  // namespace pagurus::monitor
