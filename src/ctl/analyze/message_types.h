// The messages of a migration that this version knows, by their declarations.
#pragma once

#include "vmstate/description.h"
#include "wire/messages.h"

namespace pagurus::ctl {

// How the body is declared; nullptr for a type that this version does not know.
const vmstate::Description* declared(wire::MessageType type);

}  // namespace pagurus::ctl
