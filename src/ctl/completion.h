// What the TAB key adds to a line of the shell: names of commands, of arguments, and values that can be
// counted, all from introspection.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ctl/introspection.h"

namespace pagurus::ctl {

// The shell's own words, which stand where a command does.
inline constexpr std::string_view kBuiltins[] = {"execute", "exit", "help", "oob", "quit"};

struct Completion {
  std::string insert;                // to add at the end of the text; may be empty
  std::vector<std::string> choices;  // to show where there is nothing to add and more than one way to go on
};

// text: the line up to the cursor.  introspection: nullptr if the server has none.
Completion complete(const Introspection* introspection, std::string_view text);

}  // namespace pagurus::ctl
