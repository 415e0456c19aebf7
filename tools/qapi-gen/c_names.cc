#include "c_names.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>

namespace pagurus::qapi_gen {
namespace {

// The words that C++23 keeps for itself ([lex.key], [lex.digraph]), and the assertions' macro name.
constexpr auto kKeywords = std::to_array<std::string_view>(
    {"alignas",       "alignof",     "and",       "and_eq",       "asm",          "assert",
     "auto",          "bitand",      "bitor",     "bool",         "break",        "case",
     "catch",         "char",        "char16_t",  "char32_t",     "char8_t",      "class",
     "co_await",      "co_return",   "co_yield",  "compl",        "concept",      "const",
     "const_cast",    "consteval",   "constexpr", "constinit",    "continue",     "decltype",
     "default",       "delete",      "do",        "double",       "dynamic_cast", "else",
     "enum",          "errno",       "explicit",  "export",       "extern",       "false",
     "float",         "for",         "friend",    "goto",         "if",           "inline",
     "int",           "linux",       "long",      "mutable",      "namespace",    "new",
     "noexcept",      "not",         "not_eq",    "nullptr",      "operator",     "or",
     "or_eq",         "private",     "protected", "public",       "register",     "reinterpret_cast",
     "requires",      "return",      "short",     "signed",       "sizeof",       "static",
     "static_assert", "static_cast", "stderr",    "stdin",        "stdout",       "struct",
     "switch",        "template",    "this",      "thread_local", "throw",        "true",
     "try",           "typedef",     "typeid",    "typename",     "union",        "unix",
     "unsigned",      "using",       "virtual",   "void",         "volatile",     "wchar_t",
     "while",         "xor",         "xor_eq"});

bool is_word_character(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; }
char upper(char c) { return static_cast<char>(std::toupper(static_cast<unsigned char>(c))); }
char lower(char c) { return static_cast<char>(std::tolower(static_cast<unsigned char>(c))); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::string underscored(std::string_view name) {
  std::string result(name);
  std::ranges::replace_if(
      result, [](char c) { return !is_word_character(c); }, '_');
  return result;
}

// Joins the words of a name, each with its first letter in upper case.
std::string joined_words(std::string_view name) {
  std::string result;
  bool starts = true;
  for (char c : name) {
    if (!is_word_character(c)) {
      starts = true;
      continue;
    }
    // 1.10 and 11.0 stay apart.
    if (starts && is_digit(c) && !result.empty() && is_digit(result.back())) result += '_';
    result += starts ? upper(c) : c;
    starts = false;
  }
  return result;
}

std::string_view builtin_cpp_type(std::string_view name) {
  if (name == "str") return "std::string";
  if (name == "number") return "double";
  if (name == "int") return "int64_t";
  if (name == "size") return "uint64_t";
  if (name == "bool") return "bool";
  if (name == "any") return "qapi::Json";
  if (name == "null") return "qapi::Null";
  return {};
}

}  // namespace

std::string cpp_name(std::string_view name) {
  std::string result = underscored(name);
  if (std::ranges::find(kKeywords, result) != kKeywords.end()) result += '_';
  if (!result.empty() && is_digit(result[0])) result.insert(0, "_");
  return result;
}

std::string cpp_type_name(std::string_view name) { return underscored(name); }

std::string camel_name(std::string_view name) {
  bool shouts = std::ranges::none_of(name, [](char c) { return std::islower(static_cast<unsigned char>(c)) != 0; });
  if (!shouts) return joined_words(name);
  std::string quiet(name);
  std::ranges::transform(quiet, quiet.begin(), lower);
  return joined_words(quiet);
}

std::string enumerator(std::string_view name) { return "k" + joined_words(name); }

std::string module_stem(const SourceFile& module) {
  std::string_view path = module.path;
  path = path.substr(path.rfind('/') + 1);
  if (path.ends_with(".json")) path.remove_suffix(5);
  return underscored(path);
}

const Type& element_type(const Type& type) {
  return type.kind == Entity::Kind::kArray ? *static_cast<const ArrayType&>(type).element : type;
}

bool is_size(const Type& type) {
  const Type& element = element_type(type);
  return element.kind == Entity::Kind::kBuiltin && element.name == "size";
}

std::string cpp_type(const Type& type) {
  if (type.kind == Entity::Kind::kArray) return fmt::format("std::vector<{}>", cpp_type(element_type(type)));
  if (type.kind != Entity::Kind::kBuiltin) return cpp_type_name(type.name);
  std::string_view special = builtin_cpp_type(type.name);
  return special.empty() ? type.name + "_t" : std::string(special);
}

std::string cpp_string(std::string_view text) {
  std::string result = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\')
      result += {'\\', c};
    else if (c == '\n')
      result += "\\n";
    else
      result += c;
  }
  return result + '"';
}

}  // namespace pagurus::qapi_gen
