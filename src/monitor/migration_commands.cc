// Commands about the hand-over to another process.
#include <algorithm>
#include <cmath>

#include "monitor/commands.h"

namespace pagurus::monitor {
namespace {

using migration::Status;
using qapi::Json;

constexpr uint64_t kMaxDowntimeLimitMs = 2'000'000;  // QEMU's bound

Result<Json> set_parameters(Services services, Call& call) {
  migration::ParameterChanges changes;
  if (auto transfer = TRY(call.arguments.take_optional_bool("backend-transfer"))) {
    changes.transfer = *transfer ? migration::Transfer::all() : migration::Transfer();
  }
  changes.downtime_limit_ms = TRY(call.arguments.take_optional_uint("downtime-limit"));
  TRY(call.arguments.finish());
  if (changes.downtime_limit_ms &&
      (*changes.downtime_limit_ms < 1 || *changes.downtime_limit_ms > kMaxDowntimeLimitMs)) {
    return fail("Parameter 'downtime-limit' expects an integer in the range of 1 to {} milliseconds",
                kMaxDowntimeLimitMs);
  }
  TRY(services.migration.set_parameters(changes));
  return Json::object();
}

Result<Json> query_parameters(Services services, Call& call) {
  TRY(call.arguments.finish());
  migration::Parameters parameters = services.migration.parameters();
  return Json::object(
      {{"backend-transfer", parameters.transfer.any()}, {"downtime-limit", parameters.downtime_limit_ms}});
}

Result<Json> set_capabilities(Services services, Call& call) {
  Json::Array list = TRY(call.arguments.take_array("capabilities"));
  TRY(call.arguments.finish());
  migration::Capabilities wanted = services.migration.capabilities();
  for (Json& element : list) {
    if (!element.is_object()) return qapi::wrong_parameter_type("capabilities", "array of object");
    qapi::Arguments entry(std::move(element.as_object()));
    std::string name = TRY(entry.take_string("capability"));
    bool state = TRY(entry.take_bool("state"));
    TRY(entry.finish());
    if (name != "events") {
      return fail("Parameter 'capability' does not accept value '{}' (Pagurus has 'events' only)", name);
    }
    wanted.events = state;
  }
  TRY(services.migration.set_capabilities(wanted));
  return Json::object();
}

Result<Json> query_capabilities(Services services, Call& call) {
  TRY(call.arguments.finish());
  bool events = services.migration.capabilities().events;
  return Json(Json::Array{Json::object({{"capability", "events"}, {"state", events}})});
}

Result<Json> migrate(Services services, Call& call) {
  std::string uri = TRY(call.arguments.take_string("uri"));
  TRY(call.arguments.finish());
  TRY(services.migration.migrate(uri));
  return Json::object();
}

Result<Json> migrate_incoming(Services services, Call& call) {
  std::string uri = TRY(call.arguments.take_string("uri"));
  TRY(call.arguments.finish());
  TRY(services.migration.migrate_incoming(uri));
  return Json::object();
}

Result<Json> migrate_cancel(Services services, Call& call) {
  TRY(call.arguments.finish());
  // It may have overtaken what keeps the control thread busy.  Cancelling has no failure to report.
  services.loop.post([&migration = services.migration] { (void)migration.cancel(); });
  return Json::object();
}

Result<Json> migrate_continue(Services, Call& call) {
  TRY(call.arguments.take_string("state"));
  TRY(call.arguments.finish());
  return fail("A hand-over has no state that waits for migrate-continue");
}

Json phase_json(const migration::Phase& phase) {
  return Json::object({{"name", phase.name}, {"start-us", phase.start_us}, {"duration-us", phase.duration_us}});
}

// QEMU's fields first, then ours: the pause in milliseconds with fractions, the time line, and what
// moved.
Result<Json> query_migrate(Services services, Call& call) {
  TRY(call.arguments.finish());
  migration::Info info = services.migration.query();
  if (info.status == Status::kNone) return Json::object();
  Json result =
      Json::object({{"status", migration::name_of(info.status)}, {"total-time", std::llround(info.total_time_ms)}});
  if (!info.error.empty()) result.set("error-desc", info.error);
  if (info.downtime_ms > 0) {
    result.set("downtime", std::llround(info.downtime_ms));
    result.set("downtime-ms", info.downtime_ms);
  }
  Json::Array phases;
  std::ranges::transform(info.phases, std::back_inserter(phases), phase_json);
  result.set("phases", std::move(phases));
  result.set("moved", Json::strings(info.moved));
  return result;
}

Result<Json> query_backend_transfer_support(Services services, Call& call) {
  TRY(call.arguments.finish());
  Json::Array result;
  for (const machine::BackendReport& report : services.machine.backends()) {
    Json entry = Json::object({{"device", report.device},
                               {"device-type", report.device_type},
                               {"backend", report.backend},
                               {"backend-type", report.backend_type},
                               {"supported", report.can_move}});
    if (!report.can_move) entry.set("reason", report.reason);
    result.push_back(std::move(entry));
  }
  return Json(std::move(result));
}

}  // namespace

void add_migration_commands(CommandTable& table, Services services) {
  using enum CommandTable::Where;
  auto add = [&](const char* name, Result<Json> (*handler)(Services, Call&),
                 CommandTable::Where where = kControlThread) {
    table.add(
        name, [handler, services](Call& call) { return handler(services, call); }, where);
  };
  add("migrate-set-parameters", set_parameters);
  add("query-migrate-parameters", query_parameters);
  add("migrate-set-capabilities", set_capabilities);
  add("query-migrate-capabilities", query_capabilities);
  add("migrate", migrate);
  add("migrate-incoming", migrate_incoming);
  add("migrate_cancel", migrate_cancel, kAnyThread);
  add("migrate-continue", migrate_continue);
  add("query-migrate", query_migrate);
  add("query-backend-transfer-support", query_backend_transfer_support);
}

}  // namespace pagurus::monitor
