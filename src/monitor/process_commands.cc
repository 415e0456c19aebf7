// Commands about this process: version, what it was started as, descriptors passed to it.
#include <unistd.h>

#include "base/clock.h"
#include "monitor/commands.h"
#include "monitor/protocol.h"

namespace pagurus::monitor {
namespace {

using qapi::Json;

Result<Json> query_version(Services, Call& call) {
  TRY(call.arguments.finish());
  return version_info();
}

Result<Json> query_process(Services services, Call& call) {
  TRY(call.arguments.finish());
  const ProcessInfo& process = services.process;
  return Json::object({{"pid", getpid()},
                       {"binary", process.binary},
                       {"version", PAGURUS_VERSION},
                       {"machine", services.machine.config().machine_type},
                       {"start-time", process.started_realtime_ns / 1'000'000'000},
                       {"uptime-ms", (monotonic_ns() - process.started_monotonic_ns) / 1'000'000},
                       {"command-line", Json::strings(process.command_line)}});
}

Result<Json> getfd(Services services, Call& call) {
  std::string name = TRY(call.arguments.take_string("fdname"));
  TRY(call.arguments.finish());
  if (name.empty() || (name[0] >= '0' && name[0] <= '9')) {
    return fail("Parameter 'fdname' expects a name that does not start with a digit");
  }
  if (call.fds.empty()) return fail("No file descriptor supplied via SCM_RIGHTS");
  services.named_fds.add(std::move(name), std::move(call.fds.front()));
  call.fds.erase(call.fds.begin());
  return Json::object();
}

Result<Json> closefd(Services services, Call& call) {
  std::string name = TRY(call.arguments.take_string("fdname"));
  TRY(call.arguments.finish());
  TRY(services.named_fds.take(name));
  return Json::object();
}

}  // namespace

void add_process_commands(CommandTable& table, Services services) {
  using enum CommandTable::Where;
  auto add = [&](const char* name, Result<Json> (*handler)(Services, Call&), CommandTable::Where where) {
    table.add(
        name, [handler, services](Call& call) { return handler(services, call); }, where);
  };
  add("query-version", query_version, kAnyThread);
  add("query-process", query_process, kAnyThread);
  add("getfd", getfd, kControlThread);
  add("closefd", closefd, kControlThread);
}

}  // namespace pagurus::monitor
