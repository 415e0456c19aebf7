#include "ctl/timeline.h"

#include <algorithm>
#include <span>
#include <string_view>
#include <vector>

namespace pagurus::ctl {

using qapi::Json;

namespace {

constexpr double kBarWidth = 40;
// Which the new process does; it has measured them itself.
constexpr std::string_view kPhasesOfNew[] = {"load", "own", "enter"};

struct Phase {
  std::string name;
  double start_us;
  double duration_us;
  double end_us() const { return start_us + duration_us; }
};

double number_of(const Json& object, std::string_view name) {
  const Json* value = object.find(name);
  return value != nullptr && value->is_number() ? value->as_double() : 0;
}

std::string text_of(const Json& object, std::string_view name) {
  const Json* value = object.find(name);
  return value != nullptr && value->is_string() ? value->as_string() : "?";
}

Result<std::vector<Phase>> phases_of(const Json& info) {
  const Json* list = info.is_object() ? info.find("phases") : nullptr;
  if (list == nullptr || !list->is_array() || list->as_array().empty()) {
    return fail("this process has neither sent nor received a guest");
  }
  std::vector<Phase> phases;
  for (const Json& each : list->as_array()) {
    if (!each.is_object()) return fail("query-migrate was answered with a phase that is no object");
    phases.push_back({text_of(each, "name"), number_of(each, "start-us"), number_of(each, "duration-us")});
  }
  std::ranges::stable_sort(phases, {}, &Phase::start_us);
  return phases;
}

// The pause begins with "stop" in the process that gave the guest, with "load" in the other.
size_t pause_begin(const std::vector<Phase>& phases) {
  auto begin =
      std::ranges::find_if(phases, [](const Phase& phase) { return phase.name == "stop" || phase.name == "load"; });
  return static_cast<size_t>(begin - phases.begin());
}

std::string bar(const Phase& phase, double from_us, double to_us) {
  double scale = to_us > from_us ? kBarWidth / (to_us - from_us) : 0;
  auto column = [&](double us) { return static_cast<size_t>(std::clamp((us - from_us) * scale, 0.0, kBarWidth)); };
  size_t begin = column(phase.start_us);
  size_t end = std::max(column(phase.end_us()), begin + 1);
  return std::string(begin, ' ') + std::string(end - begin, '#');
}

std::string group_text(std::string_view title, std::span<const Phase> phases) {
  if (phases.empty()) return "";
  double from_us = phases.front().start_us;
  double to_us = std::ranges::max(phases, {}, &Phase::end_us).end_us();
  std::string text = fmt::format("{}: {:.3f} ms\n", title, (to_us - from_us) / 1000);
  for (const Phase& phase : phases) {
    text += fmt::format("  {:<8} at {:>10.3f} ms  {:>10.3f} ms  {}\n", phase.name, phase.start_us / 1000,
                        phase.duration_us / 1000, bar(phase, from_us, to_us));
  }
  return text;
}

enum Track { kPauseTrack = 1, kOldTrack, kNewTrack };

Json event(std::string_view name, int track, double start_us, double duration_us) {
  return Json::object({{"name", name},
                       {"cat", "migration"},
                       {"ph", "X"},
                       {"pid", 1},
                       {"tid", track},
                       {"ts", start_us},
                       {"dur", duration_us}});
}

Json track_name(int track, std::string_view name) {
  return Json::object(
      {{"name", "thread_name"}, {"ph", "M"}, {"pid", 1}, {"tid", track}, {"args", Json::object({{"name", name}})}});
}

}  // namespace

Result<std::string> timeline_text(const Json& info) {
  auto phases = TRY(phases_of(info));
  size_t begin = pause_begin(phases);
  std::span<const Phase> all = phases;
  std::string text = fmt::format("migration: {}, {:.0f} ms, pause {:.3f} ms\n", text_of(info, "status"),
                                 number_of(info, "total-time"), number_of(info, "downtime-ms"));
  text += group_text("the guest runs", all.first(begin));
  text += group_text("the guest is held still", all.subspan(begin));
  return text;
}

Result<Json> chrome_trace(const Json& info) {
  auto phases = TRY(phases_of(info));
  size_t begin = pause_begin(phases);
  bool gave = begin < phases.size() && phases[begin].name == "stop";
  Json::Array events{track_name(kPauseTrack, "pause"), track_name(kOldTrack, "old process"),
                     track_name(kNewTrack, "new process")};
  if (gave)
    events.push_back(event("pause", kPauseTrack, phases[begin].start_us, number_of(info, "downtime-ms") * 1000));
  for (const Phase& phase : phases) {
    bool of_new = std::ranges::count(kPhasesOfNew, phase.name) != 0 || (!gave && begin < phases.size());
    events.push_back(event(phase.name, of_new ? kNewTrack : kOldTrack, phase.start_us, phase.duration_us));
  }
  return Json::object({{"displayTimeUnit", "ms"}, {"traceEvents", std::move(events)}});
}

}  // namespace pagurus::ctl
