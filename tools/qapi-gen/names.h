// What names a schema may use, and which of them C cannot tell apart.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace pagurus::qapi_gen {

// The C identifier that a name turns into: 'a-b', 'a.b' and 'a_b' are all "a_b".  Two names with the same
// identifier clash.
std::string identifier(std::string_view name);

// A name without the prefixes '__RFQDN_' (a vendor's) and 'x-' (experimental); nothing if it is no name:
// letters, digits, '-' and '_', a letter first.  What begins with 'q_' or 'q-' belongs to the compiler.
std::optional<std::string_view> name_stem(std::string_view name);

// How strictly names in lower case are judged; the laxer forms are for the exceptions that pragmas list.
enum class Spelling { kStrict, kUnderscore, kAny };

// What is wrong with a name, to be put after what it names ("member 'fooBar' "), and what would be right.
using NameProblem = std::optional<std::string>;
NameProblem lower_name_problem(std::string_view name, Spelling spelling);   // commands, members, features
NameProblem upper_name_problem(std::string_view name);                      // events
NameProblem camel_name_problem(std::string_view name);                      // types
NameProblem member_name_problem(std::string_view name, Spelling spelling);  // a lower name C has use for
NameProblem enum_value_problem(std::string_view name, Spelling spelling);   // may start with a digit

}  // namespace pagurus::qapi_gen
