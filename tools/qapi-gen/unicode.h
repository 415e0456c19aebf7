// UTF-8, as far as a schema needs it: characters are counted for columns, and white space is what
// Unicode calls so.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace pagurus::qapi_gen {

struct Character {
  char32_t code = 0;
  size_t bytes = 1;
};

// The first character of a text that is valid UTF-8 and not empty.
Character first_character(std::string_view text);
// Where the first byte stands that is not part of well-formed UTF-8 (Unicode 15, table 3-7).
std::optional<size_t> find_bad_utf8(std::string_view text);

bool is_space(char32_t code);
// Letters, digits and '_'; beyond Latin-1 whole blocks are taken for letters.
bool is_word(char32_t code);

// Bytes of white space at the start, and how many characters they are.
struct Indentation {
  size_t bytes = 0;
  size_t characters = 0;
};
Indentation indentation(std::string_view text);
std::string_view without_trailing_space(std::string_view text);
size_t character_count(std::string_view text);

}  // namespace pagurus::qapi_gen
