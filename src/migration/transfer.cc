#include "migration/transfer.h"

#include <algorithm>

namespace pagurus::migration {

Transfer Transfer::all() {
  Transfer transfer;
  transfer.all_ = true;
  return transfer;
}

Transfer Transfer::only(std::set<std::string> targets) {
  Transfer transfer;
  transfer.targets_ = std::move(targets);
  return transfer;
}

bool Transfer::includes(std::string_view target) const {
  return all_ || std::ranges::find(targets_, target) != targets_.end();
}

std::string Transfer::text() const {
  if (all_) return "on";
  if (targets_.empty()) return "off";
  std::string text;
  for (const std::string& target : targets_) text += (text.empty() ? "" : ",") + target;
  return text;
}

}  // namespace pagurus::migration
