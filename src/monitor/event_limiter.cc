#include "monitor/event_limiter.h"

#include <algorithm>
#include <array>

#include "base/log.h"

namespace pagurus::monitor {
namespace {

// QEMU's interval for the events that it limits; its others report what no device here has.
constexpr uint32_t kIntervalMs = 1000;
constexpr std::array kLimits = {EventLimit{"MONITOR_DISCONNECTED", kIntervalMs, ""}};

std::string key_of(const EventLimit& limit, const qapi::Event& event) {
  std::string key(event.name);
  if (const qapi::Json* value = limit.key.empty() ? nullptr : event.data.find(limit.key)) {
    key += '\n';
    key += value->text();
  }
  return key;
}

}  // namespace

std::span<const EventLimit> event_limits() { return kLimits; }

const EventLimit* EventLimiter::limit_of(std::string_view event) const {
  auto found = std::ranges::find(limits_, event, &EventLimit::event);
  return found != limits_.end() ? &*found : nullptr;
}

void EventLimiter::submit(qapi::Event event, int64_t at_ns) {
  const EventLimit* limit = limit_of(event.name);
  if (limit == nullptr) return send_(std::move(event), at_ns);
  std::string key = key_of(*limit, event);
  if (auto running = series_.find(key); running != series_.end()) {
    running->second.held = Held{std::move(event), at_ns};
    return;
  }
  start_interval(key, limit->interval_ms);
  send_(std::move(event), at_ns);
}

void EventLimiter::start_interval(const std::string& key, uint32_t interval_ms) {
  auto timer = loop_.after(uint64_t{interval_ms} * 1000, [this, key, interval_ms] { end_interval(key, interval_ms); });
  if (!timer) {
    // Too many events are better than none.
    log_warning("events are not limited: {}", timer.error().message());
    series_.erase(key);
    return;
  }
  series_[key].timer = std::move(*timer);
}

void EventLimiter::end_interval(const std::string& key, uint32_t interval_ms) {
  // A copy: it belongs to the timer, which ends here.
  std::string name = key;
  std::optional<Held> held = std::exchange(series_[name].held, std::nullopt);
  if (!held) {
    series_.erase(name);
    return;
  }
  start_interval(name, interval_ms);
  send_(std::move(held->event), held->at_ns);
}

void EventLimiter::deliver_held() {
  for (auto& [key, series] : std::exchange(series_, {})) {
    if (series.held) send_(std::move(series.held->event), series.held->at_ns);
  }
}

}  // namespace pagurus::monitor
