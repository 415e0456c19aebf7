#include "monitor/command.h"

namespace pagurus::monitor {

void CommandTable::add(std::string name, Handler handler) {
  bool added = handlers_.emplace(std::move(name), std::move(handler)).second;
  CHECK(added, "every command is in the table once");
}

Result<qapi::Json> CommandTable::execute(const std::string& name, Call& call) const {
  auto found = handlers_.find(name);
  if (found == handlers_.end()) {
    return std::unexpected(Error("The command " + name + " has not been found", ErrorClass::kCommandNotFound));
  }
  return found->second(call);
}

std::vector<std::string> CommandTable::names() const {
  std::vector<std::string> result;
  for (const auto& [name, handler] : handlers_) result.push_back(name);
  return result;
}

}  // namespace pagurus::monitor
