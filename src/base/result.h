// Result<T> and Error: how a failure of the host or of the operator travels to the place that
// prints it.
//
// An Error is a chain of sentences: what was being done (outermost first), what went wrong, and,
// where there is one, the remedy.  It is printed once, at the top.  Nothing here throws.
#pragma once

#include <fmt/core.h>

#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace pagurus {

// The error classes of QMP (QEMU's QAPI `QapiErrorClass`).
enum class ErrorClass { kGenericError, kCommandNotFound, kDeviceNotActive, kDeviceNotFound, kKvmMissingCap };

class Error {
 public:
  explicit Error(std::string what, ErrorClass error_class = ErrorClass::kGenericError)
      : what_(std::move(what)), class_(error_class) {}

  // Puts "<doing>: " in front of the chain.
  Error&& while_doing(std::string_view doing) && {
    what_.insert(0, std::string(doing) + ": ");
    return std::move(*this);
  }

  // Adds what the person can do about it; shown in parentheses after the chain.
  Error&& remedy(std::string_view hint) && {
    remedy_ = hint;
    return std::move(*this);
  }

  ErrorClass error_class() const { return class_; }
  // The whole chain as one line, without a trailing period or newline.
  std::string message() const { return remedy_.empty() ? what_ : what_ + " (" + remedy_ + ")"; }

 private:
  std::string what_;
  std::string remedy_;
  ErrorClass class_;
};

template <class T = void>
using Result = std::expected<T, Error>;

// `return fail("RAM size {} MiB is too small", n);`
template <class... Args>
std::unexpected<Error> fail(fmt::format_string<Args...> format, Args&&... args) {
  return std::unexpected(Error(fmt::vformat(format, fmt::make_format_args(args...))));
}

// `return fail_errno(errno, "cannot open '{}'", path);` appends ": <strerror(error)>".
std::unexpected<Error> fail_errno_string(int error, std::string what);
template <class... Args>
std::unexpected<Error> fail_errno(int error, fmt::format_string<Args...> format, Args&&... args) {
  return fail_errno_string(error, fmt::vformat(format, fmt::make_format_args(args...)));
}

[[noreturn]] void check_failed(const char* condition, const char* why, const char* file, int line);

}  // namespace pagurus

// The value of a Result, or return its error; not in an initializer's braces: g++ 12 leaks what they hold so far.
#define TRY(...)                                                            \
  __extension__({                                                           \
    auto&& try_result = (__VA_ARGS__);                                      \
    if (!try_result) return std::unexpected(std::move(try_result).error()); \
    *std::move(try_result);                                                 \
  })

// The same, with what was being done put in front of the error.
#define TRY_DOING(doing, ...)                                                                  \
  __extension__({                                                                              \
    auto&& try_result = (__VA_ARGS__);                                                         \
    if (!try_result) return std::unexpected(std::move(try_result.error()).while_doing(doing)); \
    *std::move(try_result);                                                                    \
  })

// A bug of ours: always on, prints the condition and why it must hold, and aborts.
#define CHECK(condition, why) \
  (static_cast<bool>(condition) ? void(0) : ::pagurus::check_failed(#condition, why, __FILE__, __LINE__))
