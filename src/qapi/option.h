// What the generated parser of the command line is made of: one option's value from its text, with the
// option's name in front of whatever is wrong with it.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "qapi/keyval.h"

namespace pagurus::qapi {

// "-netdev": what was being done when something is wrong.
std::string option_prefix(std::string_view name);
std::unexpected<Error> unknown_option(std::string_view name);

// A struct or union, as key=value text or JSON.
template <class T>
Result<T> read_keyval_option(std::string_view name, std::string_view text) {
  return TRY_DOING(option_prefix(name), from_keyval<T>(text));
}

// A scalar, or what else a text can mean by itself; JSON if it starts with '{'.
template <class T>
Result<T> read_text_option(std::string_view name, const std::string& text) {
  bool may_be_json = !std::is_same_v<T, std::string> && text.starts_with('{');
  Keyval parsed = may_be_json ? TRY_DOING(option_prefix(name), parse_keyval(text, {})) : Keyval{.tree = Json(text)};
  return TRY_DOING(option_prefix(name), read_value<T>(parsed.tree, parsed.scalars, name));
}

Result<uint64_t> read_size_option(std::string_view name, const std::string& text);

template <class T>
Result<void> set_option(std::optional<T>& option, std::string_view name, Result<T> value) {
  if (option) return fail("-{} is given twice", name);
  option = TRY(std::move(value));
  return {};
}

template <class T>
Result<void> add_option(std::optional<std::vector<T>>& option, std::string_view, Result<T> value) {
  if (!option) option.emplace();
  option->push_back(TRY(std::move(value)));
  return {};
}

struct OptionHelp {
  std::string_view name;
  std::string_view selector;  // empty: of the option itself
  std::string_view text;
};

Result<std::string> find_option_help(std::span<const OptionHelp> help, std::string_view name,
                                     std::string_view selector);

}  // namespace pagurus::qapi
