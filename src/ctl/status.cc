#include "ctl/status.h"

#include "ctl/replies.h"

namespace pagurus::ctl {

using qapi::Json;

namespace {

std::string text_of(const Json& object, std::string_view name) {
  const Json* value = object.find(name);
  if (value == nullptr) return "?";
  return value->is_string() ? value->as_string() : value->text();
}

double number_of(const Json& object, std::string_view name) {
  const Json* value = object.find(name);
  return value != nullptr && value->is_number() ? value->as_double() : 0;
}

std::string duration_text(int64_t ms) {
  int64_t seconds = ms / 1000;
  if (seconds < 60) return fmt::format("{}.{} s", seconds, ms % 1000 / 100);
  if (seconds < 3600) return fmt::format("{} min {} s", seconds / 60, seconds % 60);
  return fmt::format("{} h {} min", seconds / 3600, seconds % 3600 / 60);
}

std::string backend_line(const Json& report) {
  std::string device = fmt::format("{} ({})", text_of(report, "device"), text_of(report, "device-type"));
  std::string backend = text_of(report, "backend").empty()
                            ? "no back end"
                            : fmt::format("{} ({})", text_of(report, "backend"), text_of(report, "backend-type"));
  const Json* can_move = report.find("supported");
  bool moves = can_move != nullptr && can_move->is_bool() && can_move->as_bool();
  return fmt::format("  {:<28} {:<22} {}\n", device, backend,
                     moves ? "can move" : "cannot move: " + text_of(report, "reason"));
}

}  // namespace

Result<Json> collect_status(QmpClient& client) {
  Json status;
  for (const char* command : {"query-status", "query-process", "query-name", "query-uuid",
                              "query-backend-transfer-support", "query-migrate-parameters", "query-migrate"}) {
    status.set(std::string(command).substr(6), TRY(client.execute(command)));
  }
  return status;
}

std::string status_text(const Json& status) {
  const Json& process = *status.find("process");
  auto uptime = integer_member(process, "uptime-ms");
  std::string text;
  auto line = [&](std::string_view label, const std::string& value) {
    text += fmt::format("{:<10} {}\n", label, value);
  };
  if (status.find("name")->find("name") != nullptr) line("guest", text_of(*status.find("name"), "name"));
  line("state", text_of(*status.find("status"), "status"));
  line("process", fmt::format("{}, up {}", text_of(process, "pid"), uptime ? duration_text(*uptime) : "?"));
  line("binary", text_of(process, "binary"));
  line("version", text_of(process, "version"));
  line("machine", text_of(process, "machine"));
  line("transfer", "backend-transfer is " + text_of(*status.find("migrate-parameters"), "backend-transfer"));
  text += "devices\n";
  const Json& backends = *status.find("backend-transfer-support");
  if (!backends.is_array() || backends.as_array().empty()) return text + "  none\n";
  for (const Json& report : backends.as_array()) text += backend_line(report);
  return text;
}

std::string handover_text(const Json& info) {
  std::string text;
  const Json* phases = info.find("phases");
  if (phases != nullptr && phases->is_array()) {
    for (const Json& phase : phases->as_array()) {
      text += fmt::format("  {:<20} at {:>10.3f} ms, took {:>10.3f} ms\n", text_of(phase, "name"),
                          number_of(phase, "start-us") / 1000, number_of(phase, "duration-us") / 1000);
    }
  }
  std::string moved;
  const Json* names = info.find("moved");
  if (names != nullptr && names->is_array()) {
    for (const Json& name : names->as_array()) {
      if (name.is_string()) moved += (moved.empty() ? "" : ", ") + name.as_string();
    }
  }
  if (!moved.empty()) text += "moved: " + moved + "\n";
  text += fmt::format("pause: {:.3f} ms, total: {} ms\n", number_of(info, "downtime-ms"), text_of(info, "total-time"));
  return text;
}

}  // namespace pagurus::ctl
