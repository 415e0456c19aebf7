// The shell's help, from introspection.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ctl/introspection.h"

namespace pagurus::ctl {

// In columns that fit into `width` characters; ends with a newline.
std::string columns_text(const std::vector<std::string>& words, size_t width);

// The shell's own words and the names of all commands.
std::string overview_text(const Introspection* introspection, size_t width);
// A command's arguments with their types, and what it returns; a sentence if there is no such command.
std::string command_help(const Introspection* introspection, const std::string& command);

}  // namespace pagurus::ctl
