#include "base/result.h"

#include <cstdio>
#include <cstdlib>
#include <system_error>

namespace pagurus {

std::unexpected<Error> fail_errno_string(int error, std::string what) {
  return std::unexpected(Error(std::move(what) + ": " + std::generic_category().message(error)));
}

void check_failed(const char* condition, const char* why, const char* file, int line) {
  std::fprintf(stderr, "pagurus: internal error at %s:%d: %s (%s)\n", file, line, why, condition);
  std::abort();
}

}  // namespace pagurus
