#include <charconv>

#include "app/dump_vmstate.h"
#include "app/settings.h"
#include "machine/machine.h"

namespace pagurus::app {
namespace {

Result<LogTarget> settle_log(const std::string& where) {
  if (where.empty()) return fail("-D: the file's name is empty");
  constexpr std::string_view kFd = "fd:";
  if (!where.starts_with(kFd)) return LogTarget{.path = where};
  LogTarget target;
  const char* end = where.data() + where.size();
  auto parsed = std::from_chars(where.data() + kFd.size(), end, target.fd);
  if (parsed.ec != std::errc() || parsed.ptr != end || target.fd < 3 || target.fd > 1'000'000) {
    return fail("-D: '{}' names no file descriptor; write fd:N, with N from 3 on", where);
  }
  return target;
}

}  // namespace

Result<void> settle_process(const schema::CommandLineOptions& options, Invocation& invocation) {
  invocation.daemonize = options.daemonize.value_or(false);
  invocation.start_paused = options.S.value_or(false);
  if (options.pidfile) {
    if (options.pidfile->empty()) return fail("-pidfile: the file's name is empty");
    invocation.pidfile = *options.pidfile;
  }
  if (options.D) invocation.log = TRY(settle_log(*options.D));
  if (options.msg) invocation.log_timestamps = options.msg->timestamp.value_or(false);
  if (options.display && *options.display != "none") {
    return fail("-display: '{}' is not supported: the machine has no display; 'none' says so", *options.display);
  }
  return {};
}

Result<Invocation> to_invocation(schema::CommandLineOptions options) {
  Invocation invocation;
  if (options.dump_vmstate.value_or(false)) {
    std::string type = invocation.config.machine_type;
    if (options.machine) type = options.machine->type.value_or(type);
    invocation.print = TRY(dump_vmstate(type)) + "\n";
    return invocation;
  }
  TRY(settle_process(options, invocation));
  TRY(settle_devices(options, invocation));
  TRY(settle_machine(options, invocation.config));
  if (invocation.start_paused && invocation.daemonize && invocation.endpoints.empty()) {
    return fail("-S needs a way to start the guest later (add -qmp unix:PATH,server=on,wait=off)");
  }
  return invocation;
}

}  // namespace pagurus::app
