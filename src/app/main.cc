// pagurus: runs a guest, or takes over a running one.
#include <cstdio>

#include "app/process.h"
#include "app/run.h"
#include "base/log.h"

int main(int argc, char** argv) {
  pagurus::app::give_threads_small_stacks();
  pagurus::app::make_room_for_descriptors();
  auto process = pagurus::monitor::ProcessInfo::of_this_process(argc, argv);
  auto invocation = pagurus::app::parse_command_line({argv + 1, argv + argc});
  if (invocation && !invocation->print.empty()) {
    std::fputs(invocation->print.c_str(), stdout);
    return 0;
  }
  auto code = invocation ? pagurus::app::run(*invocation, process) : std::unexpected(std::move(invocation.error()));
  if (code) return *code;
  std::fprintf(stderr, "pagurus: %s\n", pagurus::printable(code.error().message()).c_str());
  return 1;
}
