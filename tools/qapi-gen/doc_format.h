// Rules for the look of one line of documentation, without its "# ".
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace pagurus::qapi_gen {

// With its "# ", in characters.
constexpr size_t kMaxDocLine = 70;

// An address by itself may be as long as it is.
bool is_too_long(std::string_view line);
// The character, counted from 0, that ends a sentence with only one space behind it, where the next one begins
// with an upper-case letter, a digit or '('.  Neither "e.g." nor a list's number ends one.
std::optional<size_t> find_single_space(std::string_view line);
// "::" alone, or an example: what follows is taken literally while it is indented.
bool starts_literal_text(std::string_view line);

}  // namespace pagurus::qapi_gen
