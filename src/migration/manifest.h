// What both sides compare in HELLO, and the sentence that names the first difference.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "machine/handover.h"
#include "migration/migration.h"
#include "wire/messages.h"

namespace pagurus::migration {

// The version people see; not compared.
std::string vmm_version();

// The manifest of this process's machine.  `extras`: names of what it can give besides.
wire::Hello make_hello(const machine::Handover& machine, const Parameters& parameters, std::vector<std::string> extras);

// What two manifests that fit together agree on.
struct Agreement {
  std::set<std::string> transfer;             // the back ends that will be transferred, by name
  std::vector<std::string> unknown_sections;  // optional sections that this destination will pass over
};
// Fails with the first difference, worded from the destination's point of view ("the source has
// ..., this destination has ...").
Result<Agreement> compare(const wire::Hello& source, const wire::Hello& destination);

// On the source: what the destination wants to pass over must be optional.
Result<void> check_passed_over(const std::vector<machine::SectionInfo>& sections,
                               const std::vector<std::string>& unknown);

// What local-incoming=on announces must be what arrives, and with the capability local-tap nothing else
// may arrive.
Result<void> check_announced(const machine::Handover& machine, const Settings& settings,
                             const std::set<std::string>& transfer);

// Fails, before anything is disturbed, if a back end that takes part cannot move, or if RAM cannot be copied.
Result<void> check_movable(const machine::Handover& machine, const Parameters& parameters);

}  // namespace pagurus::migration
