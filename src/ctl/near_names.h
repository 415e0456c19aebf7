// Names that a mistyped one may have meant.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace pagurus::ctl {

// At most three, the nearest first: those that differ in few letters, then those that contain `word`.
std::vector<std::string> near_names(std::string_view word, std::span<const std::string> names);

// "; did you mean 'a' or 'b'?", or nothing.
std::string did_you_mean(std::string_view word, std::span<const std::string> names);

}  // namespace pagurus::ctl
