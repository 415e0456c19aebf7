// The comparison of HELLO, for a source that sends it and for a destination that gets it: in a migration,
// and for somebody who only wants to know how one would begin.
#pragma once

#include <span>

#include "machine/handover.h"
#include "migration/migration.h"
#include "migration/peer.h"
#include "wire/messages.h"

namespace pagurus::migration {

// What the source would say.  Fails, with the sentence of the migration that could not begin, if the guest
// or a back end that takes part cannot leave.
Result<wire::Hello> query_manifest(const machine::Handover& machine, const Settings& settings,
                                   std::span<const Extra> extras);

// What the destination answers, or why it refuses.  `extras`: those that it needs.
Result<wire::Welcome> answer_manifest(const wire::Hello& hello, const machine::Handover& machine,
                                      const Settings& settings, std::span<const Extra> extras);

}  // namespace pagurus::migration
