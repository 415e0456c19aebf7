// Commands about the guest's machine: run state, reset, power, identity, links.
#include "monitor/commands.h"

namespace pagurus::monitor {
namespace {

using machine::RunState;
using qapi::Json;

Result<Json> query_status(Services services, Call& call) {
  TRY(call.arguments.finish());
  RunState state = services.machine.run_state();
  return Json::object({{"status", machine::name_of(state)}, {"running", state == RunState::kRunning}});
}

Result<Json> query_name(Services services, Call& call) {
  TRY(call.arguments.finish());
  const std::string& name = services.machine.config().name;
  return name.empty() ? Json::object() : Json::object({{"name", name}});
}

Result<Json> query_uuid(Services services, Call& call) {
  TRY(call.arguments.finish());
  return Json::object({{"UUID", services.machine.config().uuid}});
}

Result<Json> query_cpus(Services services, Call& call) {
  TRY(call.arguments.finish());
  Json::Array cpus;
  for (int thread_id : services.machine.vcpu_thread_ids()) {
    cpus.push_back(Json::object({{"cpu-index", cpus.size()}, {"thread-id", thread_id}, {"target", "x86_64"}}));
  }
  return Json(std::move(cpus));
}

Result<Json> stop(Services services, Call& call) {
  TRY(call.arguments.finish());
  TRY(services.machine.stop());
  return Json::object();
}

Result<Json> cont(Services services, Call& call) {
  TRY(call.arguments.finish());
  TRY(services.machine.cont());
  return Json::object();
}

Result<Json> system_reset(Services services, Call& call) {
  TRY(call.arguments.finish());
  TRY(services.machine.reset());
  return Json::object();
}

Result<Json> system_powerdown(Services services, Call& call) {
  TRY(call.arguments.finish());
  TRY(services.machine.power_button());
  return Json::object();
}

Result<Json> quit(Services services, Call& call) {
  TRY(call.arguments.finish());
  services.machine.quit("host-qmp-quit");
  return Json::object();
}

Result<Json> set_link(Services services, Call& call) {
  std::string name = TRY(call.arguments.take_string("name"));
  bool up = TRY(call.arguments.take_bool("up"));
  TRY(call.arguments.finish());
  TRY(services.machine.set_link(name, up));
  return Json::object();
}

}  // namespace

void add_machine_commands(CommandTable& table, Services services) {
  auto add = [&](const char* name, Result<Json> (*handler)(Services, Call&)) {
    table.add(name, [handler, services](Call& call) { return handler(services, call); });
  };
  add("query-status", query_status);
  add("query-name", query_name);
  add("query-uuid", query_uuid);
  add("query-cpus-fast", query_cpus);
  add("stop", stop);
  add("cont", cont);
  add("system_reset", system_reset);
  add("system_powerdown", system_powerdown);
  add("quit", quit);
  add("set_link", set_link);
}

}  // namespace pagurus::monitor
