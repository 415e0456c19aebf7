// The project's own rules for a schema, beyond the language's: what its texts have to say, and how.
//
// Every rule has a name.  The pragma 'strict-exceptions' switches rules off for one definition by that name; an
// exception that nothing needs is a finding itself.  Definitions without documentation are left alone: whether
// they may be so is the pragma doc-required's business.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "schema.h"

namespace pagurus::qapi_gen {

// Of the project, or from which on something exists.
struct SinceVersion {
  int major = 0;
  int minor = 0;

  auto operator<=>(const SinceVersion&) const = default;
  std::string text() const;
  // "X.Y", and nothing else.
  static std::optional<SinceVersion> parse(std::string_view text);
};

struct StrictInput;
struct StrictFindings;

struct StrictRule {
  std::string_view name;
  std::string_view demand;  // a sentence
  void (*check)(const StrictInput& input, StrictFindings& findings);
};

std::span<const StrictRule> strict_rules();

// All findings, by place.
std::vector<Diagnostic> strict_check(const Schema& schema, SinceVersion project);

}  // namespace pagurus::qapi_gen
