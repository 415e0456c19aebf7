// Parts of emit_keyval: what `-netdev help` and `-netdev tap,help` print.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "schema.h"

namespace pagurus::qapi_gen {

// One line of a help text: what is written, and what it means.
struct HelpLine {
  std::string left;
  std::string text;
  Condition condition;
};

struct HelpText {
  std::string selector;  // the value in front of ",help"; empty: the option's own help
  std::string title;
  std::vector<HelpLine> lines;
  Condition condition;
};

// How a value of the type is written behind "key=".
std::string value_form(const Type& type);
// The struct's first member, whose key may be left out; nullptr if it has none.
const Member* implied_member(const Type& type);
// All help texts of an option whose values have this type.
std::vector<HelpText> help_texts(std::string_view option, const Type& type, const Doc* options_doc);

}  // namespace pagurus::qapi_gen
