// Commands about this process: version, what it was started as, descriptors passed to it, its end.
#include <unistd.h>

#include "base/clock.h"
#include "monitor/commands.h"
#include "monitor/protocol.h"

namespace pagurus::monitor {
namespace {

class ControlCommands final : public schema::ControlCommands {
 public:
  ControlCommands(Services services, const qapi::CommandTable& table) : services_(services), table_(table) {}

  // Sessions carry it out themselves as the first command; this is what a second one gets.
  Result<void> qmp_capabilities(qapi::Call&, schema::QmpCapabilitiesArguments) override {
    return std::unexpected(
        Error("Capabilities negotiation is already complete, command ignored", ErrorClass::kCommandNotFound));
  }

  Result<schema::VersionInfo> query_version(qapi::Call&) override { return version_info(); }

  Result<std::vector<schema::CommandInfo>> query_commands(qapi::Call&) override {
    std::vector<schema::CommandInfo> commands;
    for (const std::string& name : table_.names()) commands.push_back({.name = name});
    return commands;
  }

  Result<schema::ProcessInfo> query_process(qapi::Call&) override {
    const ProcessInfo& process = services_.process;
    return schema::ProcessInfo{.pid = getpid(),
                               .binary = process.binary,
                               .version = PAGURUS_VERSION,
                               .machine = services_.machine.config().machine_type,
                               .start_time = process.started_realtime_ns / 1'000'000'000,
                               .uptime_ms = (monotonic_ns() - process.started_monotonic_ns) / 1'000'000,
                               .command_line = process.command_line};
  }

  Result<void> getfd(qapi::Call& call, schema::GetfdArguments arguments) override {
    const std::string& name = arguments.fdname;
    if (name.empty() || (name[0] >= '0' && name[0] <= '9')) {
      return fail("Parameter 'fdname' expects a name that does not start with a digit");
    }
    if (call.fds.empty()) return fail("No file descriptor supplied via SCM_RIGHTS");
    services_.named_fds.add(name, std::move(call.fds.front()));
    call.fds.erase(call.fds.begin());
    return {};
  }

  Result<void> closefd(qapi::Call&, schema::ClosefdArguments arguments) override {
    TRY(services_.named_fds.take(arguments.fdname));
    return {};
  }

  Result<void> quit(qapi::Call&) override {
    services_.machine.quit("host-qmp-quit");
    return {};
  }

 private:
  Services services_;
  const qapi::CommandTable& table_;
};

}  // namespace

std::unique_ptr<schema::ControlCommands> make_control_commands(Services services, const qapi::CommandTable& table) {
  return std::make_unique<ControlCommands>(services, table);
}

}  // namespace pagurus::monitor
