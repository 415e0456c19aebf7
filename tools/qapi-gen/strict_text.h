// Sentences, as strict rules look at them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace pagurus::qapi_gen {

// Each in one line, with single spaces, its markup and its full stop.  What stands in a literal block is left out.
std::vector<std::string> sentences(std::string_view text);
// "member-a" and "b" of "Members @member-a and @b.", in the order and as often as they are written.
std::vector<std::string_view> mentioned_members(std::string_view text);
// Whether the word is in the text, in upper or lower case.
bool has_word(std::string_view text, std::string_view word);
// Characters, from 0, behind which there are not exactly two spaces though a sentence ends there.  Neither an
// abbreviation nor a list's number nor literal text ends one.
std::vector<size_t> wrong_sentence_ends(std::string_view line);

}  // namespace pagurus::qapi_gen
