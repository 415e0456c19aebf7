#include "ctl/requests.h"

#include <fmt/format.h>

#include "ctl/near_names.h"

namespace pagurus::ctl {

Result<std::optional<Introspection>> introspect(QmpClient& client) {
  auto schema = TRY(client.ask({.command = "query-qmp-schema"}));
  if (!schema) return std::nullopt;
  return TRY(Introspection::from(*schema));
}

std::string refusal_text(const std::string& command, const Refusal& refusal, const Introspection* introspection) {
  std::string text = fmt::format("'{}' is refused: {}", command, refusal.words);
  if (!refusal.error_class.empty()) text += fmt::format(" ({})", refusal.error_class);
  if (refusal.error_class == "CommandNotFound" && introspection != nullptr) {
    text += did_you_mean(command, introspection->command_names());
  }
  return text;
}

}  // namespace pagurus::ctl
