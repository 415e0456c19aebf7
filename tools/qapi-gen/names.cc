#include "names.h"

#include <algorithm>

namespace pagurus::qapi_gen {
namespace {

bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
bool is_letter(char c) { return is_lower(c) || is_upper(c); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool is_stem(std::string_view text) {
  return !text.empty() && is_letter(text.front()) &&
         std::ranges::all_of(text, [](char c) { return is_letter(c) || is_digit(c) || c == '-' || c == '_'; });
}

// Without "__RFQDN_"; unchanged if there is none.
std::string_view without_vendor(std::string_view name) {
  if (!name.starts_with("__")) return name;
  const size_t end = name.find('_', 2);
  if (end == std::string_view::npos || end == 2) return name;
  const std::string_view vendor = name.substr(2, end - 2);
  const bool good =
      std::ranges::all_of(vendor, [](char c) { return is_letter(c) || is_digit(c) || c == '.' || c == '-'; });
  return good ? name.substr(end + 1) : name;
}

std::string bad_syntax(std::string_view name) {
  if (identifier(name).starts_with("q_")) return "has an invalid name: what starts with 'q_' belongs to the compiler";
  return "has an invalid name: a name is made of letters, digits, '-' and '_' and starts with a letter";
}

// "fooBar_baz" as "foo-bar-baz".
std::string in_lower_case(std::string_view name) {
  std::string result;
  for (size_t i = 0; i < name.size(); ++i) {
    const char c = name[i];
    if (is_upper(c) && i > 0 && is_lower(name[i - 1])) result += '-';
    result += is_upper(c) ? static_cast<char>(c - 'A' + 'a') : c == '_' ? '-' : c;
  }
  return result;
}

std::string in_upper_case(std::string_view name) {
  std::string result(name);
  for (char& c : result) {
    if (is_lower(c)) c = static_cast<char>(c - 'a' + 'A');
    if (c == '-') c = '_';
  }
  return result;
}

}  // namespace

std::string identifier(std::string_view name) {
  std::string result(name);
  for (char& c : result) {
    if (!is_letter(c) && !is_digit(c)) c = '_';
  }
  return result;
}

std::optional<std::string_view> name_stem(std::string_view name) {
  if (identifier(name).starts_with("q_")) return std::nullopt;
  const std::string_view rest = without_vendor(name);
  if ((rest.starts_with("x-") || rest.starts_with("X-")) && is_stem(rest.substr(2))) return rest.substr(2);
  if (!is_stem(rest)) return std::nullopt;
  return rest;
}

NameProblem lower_name_problem(std::string_view name, Spelling spelling) {
  const auto stem = name_stem(name);
  if (!stem) return bad_syntax(name);
  const bool bad_case = spelling != Spelling::kAny && std::ranges::any_of(*stem, is_upper);
  const bool bad_separator = spelling == Spelling::kStrict && stem->find('_') != std::string_view::npos;
  if (!bad_case && !bad_separator) return std::nullopt;
  const std::string prefix(name.substr(0, name.size() - stem->size()));
  return "must not use upper case or '_': '" + prefix + in_lower_case(*stem) + "' would be right";
}

NameProblem upper_name_problem(std::string_view name) {
  const auto stem = name_stem(name);
  if (!stem) return bad_syntax(name);
  if (std::ranges::none_of(*stem, [](char c) { return is_lower(c) || c == '-'; })) return std::nullopt;
  const std::string prefix(name.substr(0, name.size() - stem->size()));
  return "must not use lower case or '-': '" + prefix + in_upper_case(*stem) + "' would be right";
}

NameProblem camel_name_problem(std::string_view name) {
  const auto stem = name_stem(name);
  if (!stem) return bad_syntax(name);
  const bool plain = std::ranges::all_of(*stem, [](char c) { return is_letter(c) || is_digit(c); });
  if (!plain || !is_upper(stem->front()) || std::ranges::none_of(stem->substr(1), is_lower)) {
    return "must use CamelCase: upper case first, at least one letter of lower case, neither '-' nor '_'";
  }
  if (name.ends_with("List")) return "must not end in 'List', which is for arrays";
  return std::nullopt;
}

NameProblem member_name_problem(std::string_view name, Spelling spelling) {
  if (auto problem = lower_name_problem(name, spelling)) return problem;
  const std::string in_c = identifier(name);
  if (in_c == "u") return "uses a reserved name: generated C code calls a union's branches 'u'";
  if (in_c.starts_with("has_")) return "uses a reserved name: generated C code says 'has_' for optional members";
  return std::nullopt;
}

NameProblem enum_value_problem(std::string_view name, Spelling spelling) {
  if (name.empty() || !is_digit(name.front())) return lower_name_problem(name, spelling);
  // A letter in front makes the rest of the rules fit.
  auto problem = lower_name_problem("d" + std::string(name), spelling);
  if (problem) problem = "must be made of lower case letters, digits and '-'";
  return problem;
}

}  // namespace pagurus::qapi_gen
