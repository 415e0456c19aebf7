#include "strict.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <set>
#include <tuple>
#include <unordered_map>

#include "base/result.h"
#include "strict_rules.h"

namespace pagurus::qapi_gen {
namespace {

constexpr std::string_view kNeedlessException = "needless-exception";

constexpr auto kRules = std::to_array<StrictRule>({
    {"feature-members",
     "What a feature's text names first are exactly the members that have the feature, in alphabetical order.",
     check_feature_members},
    {"deprecated-instead", "The text of 'deprecated' says what to use instead.", check_deprecated},
    {"member-order", "Members are described in the order of the definition.", check_member_order},
    {"since-present", "A definition says since which version it exists.", check_since_present},
    {"since-form", "A version is written X.Y, and a later addition's as (Since X.Y).", check_since_form},
    {"since-version", "Nothing exists since a version that is still to come.", check_since_version},
    {"since-addition", "What was added later than its definition says so, once, at the end of its text.",
     check_since_addition},
    {"returns", "A command that returns something describes it.", check_returns},
    {"line-length", "No line has more than 70 characters, except an address.", check_line_length},
    {"sentence-spaces", "Between two sentences are two spaces.", check_sentence_spaces},
    {"unix-socket", "What requires a UNIX domain socket says so in these words.", check_unix_socket},
});

std::string_view definition_kind(const Entity& entity) {
  switch (entity.kind) {
    case Entity::Kind::kEnum: return "enum";
    case Entity::Kind::kObject: return static_cast<const ObjectType&>(entity).is_union() ? "union" : "struct";
    case Entity::Kind::kAlternate: return "alternate";
    case Entity::Kind::kCommand: return "command";
    case Entity::Kind::kEvent: return "event";
    case Entity::Kind::kBuiltin:
    case Entity::Kind::kArray: break;
  }
  CHECK(false, "only what is defined in a file has findings");
}

Diagnostic diagnostic_of(const StrictFinding& finding, std::string_view rule) {
  std::string context;
  if (finding.entity != nullptr)
    context = fmt::format("{} '{}'", definition_kind(*finding.entity), finding.entity->name);
  return {.at = finding.at, .context = std::move(context), .message = finding.message, .rule = std::string(rule)};
}

// Which exceptions there are, and which of them have hidden something.
class Exceptions {
 public:
  explicit Exceptions(const Schema& schema) : schema_(schema), all_(schema.parsed.pragmas.strict_exceptions) {}

  bool hides(const StrictFinding& finding, std::string_view rule) {
    if (finding.entity == nullptr) return false;
    const auto rules = all_.find(finding.entity->name);
    if (rules == all_.end() || !rules->second.contains(std::string(rule))) return false;
    used_.emplace(rules->first, rule);
    return true;
  }

  void check(std::vector<Diagnostic>& findings) const {
    for (const auto& [name, rules] : all_) {
      const auto entity = schema_.by_name.find(name);
      const bool defined = entity != schema_.by_name.end() && entity->second->at.file != nullptr;
      StrictFinding finding{.entity = defined ? entity->second : nullptr, .at = {}, .message = {}};
      finding.at = defined ? entity->second->at : Position{.file = schema_.parsed.files.front().get()};
      if (!defined) {
        finding.message = fmt::format("pragma 'strict-exceptions' names '{}', which is not defined; remove it", name);
        findings.push_back(diagnostic_of(finding, kNeedlessException));
        continue;
      }
      for (const std::string& rule : rules) check_rule(finding, rule, findings);
    }
  }

 private:
  void check_rule(StrictFinding& finding, const std::string& rule, std::vector<Diagnostic>& findings) const {
    if (used_.contains({finding.entity->name, rule})) return;
    const bool known = std::ranges::find(kRules, rule, &StrictRule::name) != kRules.end();
    finding.message = fmt::format("pragma 'strict-exceptions' {}; remove that",
                                  known ? fmt::format("switches off '{}', to which this conforms", rule)
                                        : fmt::format("switches off '{}', which is no rule", rule));
    findings.push_back(diagnostic_of(finding, kNeedlessException));
  }

  const Schema& schema_;
  const std::map<std::string, std::set<std::string>>& all_;
  std::set<std::pair<std::string, std::string>> used_;
};

// Files count in the order in which they were read.
void sort_by_place(const Schema& schema, std::vector<Diagnostic>& findings) {
  std::unordered_map<const SourceFile*, size_t> order;
  for (const auto& file : schema.parsed.files) order.emplace(file.get(), order.size());
  std::ranges::stable_sort(findings, {}, [&](const Diagnostic& finding) {
    return std::tuple(order[finding.at.file], finding.at.line, finding.at.column);
  });
}

}  // namespace

std::string SinceVersion::text() const { return fmt::format("{}.{}", major, minor); }

std::optional<SinceVersion> SinceVersion::parse(std::string_view text) {
  const size_t dot = text.find('.');
  if (dot == std::string_view::npos) return std::nullopt;
  const auto number = [](std::string_view digits) -> std::optional<int> {
    int value = 0;
    if (digits.empty() || digits[0] < '0' || digits[0] > '9') return std::nullopt;
    if (digits.size() > 1 && digits[0] == '0') return std::nullopt;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    return error == std::errc() && end == digits.data() + digits.size() ? std::optional(value) : std::nullopt;
  };
  const auto major = number(text.substr(0, dot)), minor = number(text.substr(dot + 1));
  if (!major || !minor) return std::nullopt;
  return SinceVersion{.major = *major, .minor = *minor};
}

std::span<const StrictRule> strict_rules() { return kRules; }

std::vector<Diagnostic> strict_check(const Schema& schema, SinceVersion project) {
  const StrictInput input = strict_input(schema, project);
  Exceptions exceptions(schema);
  std::vector<Diagnostic> result;
  for (const StrictRule& rule : kRules) {
    StrictFindings findings;
    rule.check(input, findings);
    for (const StrictFinding& finding : findings.found) {
      if (!exceptions.hides(finding, rule.name)) result.push_back(diagnostic_of(finding, rule.name));
    }
  }
  exceptions.check(result);
  sort_by_place(schema, result);
  return result;
}

}  // namespace pagurus::qapi_gen
