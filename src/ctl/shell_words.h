// The words of a line of the shell, as far as it has been typed.
//
// Words are separated by blanks.  '...' and "..." hold blanks, a backslash takes the next character as it
// is.  JSON needs no quoting: a { at the beginning of a word, and a { or [ behind its first =, is taken
// literally up to the bracket that closes it.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace pagurus::ctl {

struct ShellWords {
  std::vector<std::string> words;
  bool in_last = false;   // the line ends inside the last word, not behind it
  size_t last_begin = 0;  // where the last word begins in the line
  char unclosed = '\0';   // the quote, bracket or backslash that the line ends in
};

ShellWords split_words(std::string_view line);

}  // namespace pagurus::ctl
