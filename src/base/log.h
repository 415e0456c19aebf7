// Messages for the person who runs the process: to standard error, one line each.
#pragma once

#include <fmt/core.h>

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

namespace pagurus {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

void set_log_level(LogLevel level);
// Every line begins with date and time from now on.
void enable_log_timestamps();
void log_line(LogLevel level, const std::string& line);
// As it is printed: what a peer or a guest brought in moves no cursor, and a line of its own is indented, so
// that it cannot pass for one of ours.
std::string printable(std::string_view text);

template <class... Args>
void log_debug(fmt::format_string<Args...> format, Args&&... args) {
  log_line(LogLevel::kDebug, fmt::vformat(format, fmt::make_format_args(args...)));
}
template <class... Args>
void log_info(fmt::format_string<Args...> format, Args&&... args) {
  log_line(LogLevel::kInfo, fmt::vformat(format, fmt::make_format_args(args...)));
}
template <class... Args>
void log_warning(fmt::format_string<Args...> format, Args&&... args) {
  log_line(LogLevel::kWarning, fmt::vformat(format, fmt::make_format_args(args...)));
}
template <class... Args>
void log_error(fmt::format_string<Args...> format, Args&&... args) {
  log_line(LogLevel::kError, fmt::vformat(format, fmt::make_format_args(args...)));
}

// Counts what a guest does wrong and lets at most one message a second through, so that a guest
// cannot fill the host's log.  Thread-safe.
class GuestFaults {
 public:
  // Returns true if the caller should log this one.
  bool note();
  uint64_t count() const { return count_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> count_{0};
  std::atomic<int64_t> last_logged_ns_{0};
};

}  // namespace pagurus
