#include "app/command_line.h"

#include <algorithm>

#include "app/option.h"

namespace pagurus::app {
namespace {

const std::vector<Option>& all_options() {
  static const std::vector<Option> options = [] {
    std::vector<Option> all;
    for (auto part : {machine_options(), device_options(), process_options()}) {
      all.insert(all.end(), part.begin(), part.end());
    }
    return all;
  }();
  return options;
}

// "-name" and "--name" are the same, as in QEMU.
Result<const Option*> find_option(std::string_view word) {
  std::string_view name = word;
  if (!name.starts_with("-") || name == "-" || name == "--") {
    return fail("'{}' is no option; options begin with '-' ('--help' lists them)", word);
  }
  name.remove_prefix(name.starts_with("--") ? 2 : 1);
  for (const Option& option : all_options()) {
    if (option.name == name) return &option;
  }
  return fail("unknown option '{}' ('--help' lists the options)", word);
}

Result<void> apply(Draft& draft, const Option& option, const std::string& value) {
  bool first = draft.seen.insert(option.name).second;
  if (!first && option.count == Option::Count::kOnce) return fail("-{} is given twice", option.name);
  return option.apply(draft, value);
}

Result<void> finish(Draft& draft) {
  if (draft.dump_vmstate) {
    draft.invocation.print = TRY(machine::dump_vmstate(draft.invocation.config.machine_type)) + "\n";
    return {};
  }
  TRY(finish_machine(draft));
  TRY(finish_devices(draft));
  return finish_process(draft);
}

}  // namespace

Result<Invocation> parse_command_line(const std::vector<std::string>& arguments) {
  Draft draft;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const Option& option = *TRY(find_option(arguments[i]));
    std::string value;
    if (!option.argument.empty()) {
      if (i + 1 == arguments.size()) return fail("-{} needs a value: {}", option.name, option.argument);
      value = arguments[++i];
    }
    TRY(apply(draft, option, value));
    if (!draft.invocation.print.empty()) return std::move(draft.invocation);
  }
  TRY(finish(draft));
  return std::move(draft.invocation);
}

std::string help_text() {
  std::string text =
      "usage: pagurus [options]\n\n"
      "Runs a Linux guest under KVM.  The process can be replaced under the running guest: see\n"
      "pagurusctl(1).  Options and their values are QEMU's, as far as they exist here.\n\n";
  for (const Option& option : all_options()) {
    std::string words = fmt::format("-{} {}", option.name, option.argument);
    text += fmt::format("  {:<34} {}\n", words, option.help);
  }
  return text;
}

std::vector<std::string_view> option_names() {
  std::vector<std::string_view> names;
  for (const Option& option : all_options()) names.push_back(option.name);
  return names;
}

}  // namespace pagurus::app
