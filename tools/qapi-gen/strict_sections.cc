// Strict rules about which sections there are, and in which order.
#include <fmt/format.h>

#include "strict_rules.h"

namespace pagurus::qapi_gen {

void check_member_order(const StrictInput& input, StrictFindings& findings) {
  for (const DescribedDefinition& definition : input.definitions) {
    const DocSection* before = nullptr;
    for (const DocSection& section : definition.doc->sections) {
      const DescribedMember* member = definition.find(section.name);
      if (section.kind != DocSection::Kind::kMember || member == nullptr) continue;
      if (before != nullptr && member < definition.find(before->name)) {
        findings.add(definition, section.at,
                     fmt::format("'@{}' is described behind '@{}', but the definition has it first; keep the "
                                 "definition's order",
                                 section.name, before->name));
        break;
      }
      before = &section;
    }
  }
}

void check_returns(const StrictInput& input, StrictFindings& findings) {
  for (const DescribedDefinition& definition : input.definitions) {
    if (definition.entity->kind != Entity::Kind::kCommand) continue;
    const Command& command = static_cast<const Command&>(*definition.entity);
    if (command.returns == nullptr || definition.doc->find(DocSection::Kind::kReturns) != nullptr) continue;
    findings.add(definition, definition.doc->at,
                 fmt::format("the command returns '{}', but nothing says what that means; add a 'Returns:' section",
                             command.returns->name));
  }
}

}  // namespace pagurus::qapi_gen
