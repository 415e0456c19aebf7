#include "base/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include "base/clock.h"

namespace pagurus {
namespace {

spdlog::logger& logger() {
  // Made at first use, on whichever thread that is; lives as long as the process.
  static const std::shared_ptr<spdlog::logger> instance = [] {
    auto made = std::make_shared<spdlog::logger>("pagurus", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made->set_pattern("pagurus[%P]: %l: %v");
    made->set_level(spdlog::level::warn);
    return made;
  }();
  return *instance;
}

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug: return spdlog::level::debug;
    case LogLevel::kInfo: return spdlog::level::info;
    case LogLevel::kWarning: return spdlog::level::warn;
    case LogLevel::kError: return spdlog::level::err;
  }
  return spdlog::level::err;
}

}  // namespace

void set_log_level(LogLevel level) { logger().set_level(to_spdlog(level)); }

void enable_log_timestamps() { logger().set_pattern("%Y-%m-%dT%H:%M:%S.%f%z pagurus[%P]: %l: %v"); }

void log_line(LogLevel level, const std::string& line) { logger().log(to_spdlog(level), printable(line)); }

std::string printable(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  for (char c : text) {
    bool control = static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
    if (c == '\n') {
      result += "\n  ";
    } else if (control) {
      result += fmt::format("\\x{:02x}", static_cast<unsigned>(c));
    } else {
      result += c;
    }
  }
  return result;
}

bool GuestFaults::note() {
  constexpr int64_t kIntervalNs = 1'000'000'000;
  count_.fetch_add(1, std::memory_order_relaxed);
  int64_t now = monotonic_ns();
  int64_t last = last_logged_ns_.load(std::memory_order_relaxed);
  if (last != 0 && now - last < kIntervalNs) return false;
  return last_logged_ns_.compare_exchange_strong(last, now, std::memory_order_relaxed);
}

}  // namespace pagurus
