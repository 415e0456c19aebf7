// Executing a command that a person has written: its arguments are given the types the server asks for,
// and a refusal becomes a sentence with what may have been meant.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "base/result.h"
#include "ctl/introspection.h"
#include "ctl/qmp_client.h"

namespace pagurus::ctl {

// nullopt if the server does not describe its commands.
Result<std::optional<Introspection>> introspect(QmpClient& client);

// "'set_lnk' is refused: ... (CommandNotFound); did you mean 'set_link'?"
std::string refusal_text(const std::string& command, const Refusal& refusal, const Introspection* introspection);

}  // namespace pagurus::ctl
