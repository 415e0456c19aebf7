#include "qapi/command.h"

namespace pagurus::qapi {

void CommandTable::add(CommandInfo info, Handler handler) {
  std::string name = info.name;
  bool added = entries_.try_emplace(std::move(name), Entry{std::move(info), std::move(handler)}).second;
  CHECK(added, "every command is in the table once");
}

const CommandInfo* CommandTable::find(std::string_view name) const {
  auto found = entries_.find(name);
  return found != entries_.end() ? &found->second.info : nullptr;
}

Result<Json> CommandTable::execute(std::string_view name, Call& call, const Json& arguments) const {
  auto found = entries_.find(name);
  if (found == entries_.end()) {
    return std::unexpected(
        Error("The command " + std::string(name) + " has not been found", ErrorClass::kCommandNotFound));
  }
  return found->second.handler(call, arguments);
}

std::vector<std::string> CommandTable::names() const {
  std::vector<std::string> result;
  for (const auto& [name, entry] : entries_) result.push_back(name);
  return result;
}

Result<void> no_arguments(const Json& arguments) {
  if (!arguments.is_object()) return fail("Invalid parameter type for 'arguments', expected: object");
  if (arguments.as_object().empty()) return {};
  return fail("Parameter '{}' is unexpected", arguments.as_object().front().name);
}

}  // namespace pagurus::qapi
