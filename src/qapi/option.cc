#include "qapi/option.h"

namespace pagurus::qapi {

std::string option_prefix(std::string_view name) { return fmt::format("-{}", name); }

std::unexpected<Error> unknown_option(std::string_view name) {
  return fail("-{}: there is no such option (see -help)", name);
}

Result<uint64_t> read_size_option(std::string_view name, const std::string& text) {
  Json tree(text);
  JsonInput input(tree, JsonInput::Scalars::kKeyval, name);
  uint64_t bytes = 0;
  TRY_DOING(option_prefix(name), visit_size(input, {}, bytes));
  return bytes;
}

Result<std::string> find_option_help(std::span<const OptionHelp> help, std::string_view name,
                                     std::string_view selector) {
  std::string others;
  for (const OptionHelp& one : help) {
    if (one.name != name) continue;
    if (one.selector == selector) return std::string(one.text);
    if (!one.selector.empty()) others += fmt::format("{}'{}'", others.empty() ? "" : ", ", one.selector);
  }
  if (others.empty())
    return selector.empty() ? unknown_option(name) : fail("-{}: '{}' has no help of its own", name, selector);
  return fail("-{}: there is no help for '{}' (there is for {})", name, selector, others);
}

}  // namespace pagurus::qapi
