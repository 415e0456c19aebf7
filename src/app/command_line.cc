#include "app/command_line.h"

#include <algorithm>
#include <set>

#include "app/settings.h"
#include "machine/machine.h"
#include "schema/options.h"

namespace pagurus::app {
namespace {

using schema::OptionInfo;

// "-name" and "--name" are the same, as in QEMU.
Result<const OptionInfo*> find_option(std::string_view word) {
  std::string_view name = word;
  if (!name.starts_with("-") || name == "-" || name == "--") {
    return fail("'{}' is no option; options begin with '-' ('--help' lists them)", word);
  }
  name.remove_prefix(name.starts_with("--") ? 2 : 1);
  for (const OptionInfo& option : schema::option_table()) {
    if (option.name == name) return &option;
  }
  return fail("unknown option '{}' ('--help' lists the options)", word);
}

// "help" and "tap,help" ask about an option; nullopt: the value does not.
std::optional<std::string_view> help_selector(const OptionInfo& option, std::string_view value) {
  constexpr std::string_view kHelp = ",help";
  if (option.value != OptionInfo::Value::kKeyval) return std::nullopt;
  if (value == kHelp.substr(1)) return "";
  if (value.ends_with(kHelp)) return value.substr(0, value.size() - kHelp.size());
  return std::nullopt;
}

Result<std::string> help_on(const OptionInfo& option, std::string_view selector) {
  std::string text;
  if (option.name == "machine" && selector.empty()) {
    text = "Machine types:\n";
    for (const auto& type : machine::machine_types()) text += fmt::format("  {:<14} {}\n", type.name, type.description);
    text += "\n";
  }
  return text + TRY(schema::option_help(option.name, selector));
}

struct Words {
  const std::vector<std::string>& words;
  size_t next = 0;

  Result<std::string> value_of(const OptionInfo& option) {
    if (option.value == OptionInfo::Value::kFlag) return std::string();
    if (next == words.size()) return fail("-{} needs a value: {}", option.name, option.argument);
    return words[next++];
  }
};

std::string printed_by(const schema::CommandLineOptions& options) {
  if (options.help || options.h) return help_text();
  if (options.version) return "pagurus " PAGURUS_VERSION "\n";
  return "";
}

}  // namespace

Result<Invocation> parse_command_line(const std::vector<std::string>& arguments) {
  schema::CommandLineOptions options;
  std::set<std::string_view> seen;
  Words words{arguments};
  while (words.next < arguments.size()) {
    const OptionInfo& option = *TRY(find_option(arguments[words.next++]));
    std::string value = TRY(words.value_of(option));
    if (auto selector = help_selector(option, value)) {
      Invocation help;
      help.print = TRY(help_on(option, *selector));
      return help;
    }
    bool first = seen.insert(option.name).second;
    if (!first && !option.repeatable) return fail("-{} is given twice", option.name);
    TRY(schema::apply_option(options, option.name, value));
    if (std::string print = printed_by(options); !print.empty()) {
      Invocation invocation;
      invocation.print = std::move(print);
      return invocation;
    }
  }
  return to_invocation(std::move(options));
}

std::string help_text() {
  std::string text =
      "usage: pagurus [options]\n\n"
      "Runs a Linux guest under KVM.  The process can be replaced under the running guest: see\n"
      "pagurusctl(1).  Options and their values are QEMU's, as far as they exist here.\n\n";
  constexpr size_t kColumn = 34;
  for (const OptionInfo& option : schema::option_table()) {
    std::string words = fmt::format("-{} {}", option.name, option.argument);
    // Words that reach into the next column have a line of their own.
    std::string gap =
        words.size() > kColumn ? "\n" + std::string(kColumn + 2, ' ') : std::string(kColumn - words.size(), ' ');
    text += fmt::format("  {}{} {}\n", words, gap, option.help);
  }
  return text;
}

}  // namespace pagurus::app
