// pagurusctl reads the running process's command line without its parser, so it must know which
// options take no value.
#include <gtest/gtest.h>

#include <algorithm>

#include "app/command_line.h"
#include "ctl/incoming_arguments.h"

namespace pagurus::ctl {
namespace {

TEST(Options, pagurusctl_knows_which_take_no_value) {
  const auto& known = options_without_value();
  for (std::string_view name : app::option_names()) {
    // The parser asks for a value at the end of the line only if the option takes one.
    auto parsed = app::parse_command_line({"-" + std::string(name)});
    bool takes_value = !parsed && parsed.error().message().find(" needs a value: ") != std::string::npos;
    bool listed = std::find(known.begin(), known.end(), name) != known.end();
    EXPECT_NE(takes_value, listed) << name;
  }
}

}  // namespace
}  // namespace pagurus::ctl
