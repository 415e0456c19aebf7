#include "pragma.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/result.h"

namespace pagurus::qapi_gen {
namespace {

// Refuses with the directive's place.
class PragmaReader {
 public:
  PragmaReader(Pragmas& pragmas, Dialect dialect, const Position& at) : pragmas_(pragmas), dialect_(dialect), at_(at) {}

  Checked<> apply(const std::string& name, const Value& value) {
    if (name == "doc-required") return read_flag(pragmas_.doc_required, name, value);
    if (name == "command-name-exceptions") return read_names(pragmas_.command_name_exceptions, name, value);
    if (name == "command-returns-exceptions") return read_names(pragmas_.command_returns_exceptions, name, value);
    if (name == "documentation-exceptions") return read_names(pragmas_.documentation_exceptions, name, value);
    if (name == "member-name-exceptions") return read_names(pragmas_.member_name_exceptions, name, value);
    if (name != "strict-exceptions") return refuse(fmt::format("unknown pragma '{}'", name));
    if (dialect_ == Dialect::kStrict) return read_strict_exceptions(name, value);
    return refuse(fmt::format("unknown pragma '{}' (with --strict there is one)", name));
  }

  std::unexpected<Diagnostic> refuse(std::string message) const {
    return std::unexpected(Diagnostic{.at = at_, .context = {}, .message = std::move(message), .rule = {}});
  }

 private:
  Checked<> read_flag(bool& flag, const std::string& name, const Value& value) const {
    if (!value.is_bool()) return refuse(fmt::format("pragma '{}' must be true or false", name));
    flag = value.boolean();
    return {};
  }

  Checked<> read_names(std::set<std::string>& names, const std::string& name, const Value& value) const {
    if (!value.is_list() || !std::ranges::all_of(value.list(), &Value::is_string)) {
      return refuse(fmt::format("pragma '{}' must be a list of strings", name));
    }
    names.clear();
    for (const Value& item : value.list()) names.insert(item.string());
    return {};
  }

  Checked<> read_strict_exceptions(const std::string& name, const Value& value) {
    if (!value.is_object()) {
      return refuse(fmt::format("pragma '{}' must be an object, 'Definition': [ 'rule', ... ]", name));
    }
    for (const Value::Member& member : value.object()) {
      std::set<std::string> rules;
      TRY(read_names(rules, fmt::format("{}: {}", name, member.key), member.value));
      pragmas_.strict_exceptions[member.key].merge(rules);
    }
    return {};
  }

  Pragmas& pragmas_;
  Dialect dialect_;
  Position at_;
};

}  // namespace

Checked<> apply_pragma(Pragmas& pragmas, const Value& value, Dialect dialect, const Position& at) {
  PragmaReader reader(pragmas, dialect, at);
  if (!value.is_object()) return reader.refuse("the value of 'pragma' must be an object");
  for (const Value::Member& member : value.object()) TRY(reader.apply(member.key, member.value));
  return {};
}

}  // namespace pagurus::qapi_gen
