#include "expressions.h"

#include <fmt/core.h>

#include <array>

#include "base/result.h"
#include "conditions.h"
#include "expression_parts.h"

namespace pagurus::qapi_gen {
namespace {

constexpr std::array kMetas = {Meta::kEnum,      Meta::kStruct,  Meta::kUnion,
                               Meta::kAlternate, Meta::kCommand, Meta::kEvent};

// Reads one expression; lives as long as that takes.
class DefinitionReader {
 public:
  DefinitionReader(const Expression& expression, const Pragmas& pragmas) : value_(expression.value), pragmas_(pragmas) {
    out_.place.at = {.file = value_.at.file, .line = value_.at.line, .column = 0};
    out_.module = expression.module;
    out_.doc = expression.doc;
  }

  Checked<Definition> read() {
    TRY(read_head());
    TRY(check_doc());
    TRY(read_body());
    out_.condition = TRY(read_condition(value_.find("if"), to_string(out_.meta), out_.place));
    out_.features = TRY(read_features(value_.find("features"), out_.place));
    TRY(read_flags());
    return std::move(out_);
  }

 private:
  std::unexpected<Diagnostic> refuse(std::string message) const { return out_.place.refuse(std::move(message)); }

  Checked<> read_head() {
    const Value* name = nullptr;
    int metas = 0;
    for (const Meta meta : kMetas) {
      const Value* found = value_.find(to_string(meta));
      if (found == nullptr) continue;
      ++metas;
      name = found;
      out_.meta = meta;
    }
    if (metas != 1) {
      return refuse("a definition needs exactly one of 'enum', 'struct', 'union', 'alternate', 'command', 'event'");
    }
    if (!name->is_string()) return refuse(fmt::format("'{}' requires a string as its name", to_string(out_.meta)));
    out_.name = name->string();
    if (!out_.name.empty()) out_.place.context = fmt::format("{} '{}'", to_string(out_.meta), out_.name);
    const NameProblem problem = definition_name_problem();
    if (problem) return refuse(fmt::format("{} '{}' {}", to_string(out_.meta), out_.name, *problem));
    return {};
  }

  NameProblem definition_name_problem() const {
    switch (out_.meta) {
      case Meta::kEvent: return upper_name_problem(out_.name);
      case Meta::kCommand: {
        const bool lax = pragmas_.command_name_exceptions.contains(out_.name);
        return lower_name_problem(out_.name, lax ? Spelling::kUnderscore : Spelling::kStrict);
      }
      default: return camel_name_problem(out_.name);
    }
  }

  // What the comment says about the definition as a whole; its members are the linker's business.
  Checked<> check_doc() const {
    const Doc* doc = out_.doc;
    if (doc == nullptr) {
      if (!pragmas_.doc_required) return {};
      return refuse(fmt::format("documentation comment required: put '## @{}: ... ##' before it", out_.name));
    }
    if (doc->symbol != out_.name) {
      return refuse(fmt::format("the documentation comment is for '{}', not for '{}'", doc->symbol, out_.name));
    }
    const DocSection* returns = doc->find(DocSection::Kind::kReturns);
    const DocSection* errors = doc->find(DocSection::Kind::kErrors);
    if (out_.meta == Meta::kCommand) {
      if (returns == nullptr || value_.find("returns") != nullptr) return {};
      return refuse_section(*returns, "'Returns' section, but the command returns nothing");
    }
    if (returns != nullptr) return refuse_section(*returns, "'Returns' section is only for commands");
    if (errors != nullptr) return refuse_section(*errors, "'Errors' section is only for commands");
    return {};
  }

  static std::unexpected<Diagnostic> refuse_section(const DocSection& section, std::string message) {
    return Place{.at = {.file = section.at.file, .line = section.at.line, .column = 0}, .context = {}}.refuse(
        std::move(message));
  }

  Checked<> read_body() {
    switch (out_.meta) {
      case Meta::kEnum: return read_enum();
      case Meta::kStruct: return read_struct();
      case Meta::kUnion: return read_union();
      case Meta::kAlternate: return read_alternate();
      case Meta::kCommand: return read_command();
      case Meta::kEvent: return read_event();
    }
    CHECK(false, "all kinds of definitions are handled");
  }

  Checked<> keys(const Keys& required, const Keys& optional) const {
    return check_keys(value_, to_string(out_.meta), required, optional, out_.place);
  }

  Spelling member_spelling() const {
    return pragmas_.member_name_exceptions.contains(out_.name) ? Spelling::kAny : Spelling::kStrict;
  }

  Checked<> read_enum() {
    TRY(keys({"enum", "data"}, {"if", "features", "prefix"}));
    const Value& data = *value_.find("data");
    if (!data.is_list()) return refuse("'data' must be an array of the enum's values");
    if (const Value* prefix = value_.find("prefix")) {
      if (!prefix->is_string()) return refuse("'prefix' must be a string");
      out_.prefix = prefix->string();
    }
    for (const Value& item : data.list()) out_.values.push_back(TRY(read_enum_member(item)));
    return {};
  }

  Checked<EnumMember> read_enum_member(const Value& item) const {
    if (item.is_object()) TRY(check_keys(item, "'data' member", {"name"}, {"if", "features"}, out_.place));
    const Value& name = item.is_object() ? *item.find("name") : item;
    if (!name.is_string()) return refuse("'data' member requires a string as its name");
    const std::string subject = fmt::format("'data' member '{}'", name.string());
    const NameProblem problem = enum_value_problem(name.string(), member_spelling());
    if (problem) return refuse(fmt::format("{} {}", subject, *problem));
    EnumMember member{.name = name.string(), .condition = {}, .features = {}, .at = name.at};
    if (!item.is_object()) return member;
    member.condition = TRY(read_condition(item.find("if"), subject, out_.place));
    member.features = TRY(read_features(item.find("features"), out_.place));
    return member;
  }

  Checked<> read_struct() {
    TRY(keys({"struct", "data"}, {"base", "if", "features"}));
    out_.members = TRY(read_members(*value_.find("data"), "'data'", member_spelling(), out_.place));
    if (const Value* base = value_.find("base")) out_.base = TRY(read_type_name(*base, "'base'", out_.place));
    return {};
  }

  Checked<> read_union() {
    TRY(keys({"union", "base", "discriminator", "data"}, {"if", "features"}));
    const Value& base = *value_.find("base");
    if (base.is_string()) {
      out_.base = base.string();
    } else if (!base.is_object()) {
      return refuse_neither("'base'", out_.place);
    } else {
      out_.base_members = TRY(read_members(base, "'base'", member_spelling(), out_.place));
    }
    const Value& discriminator = *value_.find("discriminator");
    if (!discriminator.is_string()) return refuse("'discriminator' requires a string, a member's name");
    out_.discriminator = discriminator.string();
    out_.members = TRY(read_branches(*value_.find("data"), Meta::kUnion, out_.place));
    return {};
  }

  Checked<> read_alternate() {
    TRY(keys({"alternate", "data"}, {"if", "features"}));
    out_.members = TRY(read_branches(*value_.find("data"), Meta::kAlternate, out_.place));
    return {};
  }

  Checked<> read_command() {
    TRY(keys({"command"}, {"data", "returns", "boxed", "if", "features", "gen", "success-response", "allow-oob",
                           "allow-preconfig", "coroutine"}));
    TRY(read_arguments());
    if (const Value* returns = value_.find("returns")) {
      out_.returns = TRY(read_type_reference(*returns, "'returns'", out_.place));
    }
    return {};
  }

  Checked<> read_event() {
    TRY(keys({"event"}, {"data", "boxed", "if", "features"}));
    return read_arguments();
  }

  Checked<> read_arguments() {
    const Value* data = value_.find("data");
    if (value_.find("boxed") != nullptr) {
      if (data == nullptr) return refuse("'boxed': true requires 'data', the name of a type");
      out_.arguments = TRY(read_type_name(*data, "'data' of a boxed definition", out_.place));
      if (out_.arguments.empty()) return refuse("'boxed': true requires 'data', the name of a type");
      return {};
    }
    if (data == nullptr) return {};
    if (data->is_string()) {
      out_.arguments = data->string();
    } else if (!data->is_object()) {
      return refuse_neither("'data'", out_.place);
    } else {
      out_.members = TRY(read_members(*data, "'data'", Spelling::kStrict, out_.place));
    }
    return {};
  }

  Checked<bool> flag(std::string_view key, bool only) const {
    const Value* found = value_.find(key);
    if (found == nullptr) return !only;
    if (found->is_bool() && found->boolean() == only) return only;
    return refuse(fmt::format("flag '{}' can only be {}; leave it out for {}", key, only, !only));
  }

  Checked<> read_flags() {
    out_.gen = TRY(flag("gen", false));
    out_.success_response = TRY(flag("success-response", false));
    out_.boxed = TRY(flag("boxed", true));
    out_.allow_oob = TRY(flag("allow-oob", true));
    out_.allow_preconfig = TRY(flag("allow-preconfig", true));
    out_.coroutine = TRY(flag("coroutine", true));
    if (out_.allow_oob && out_.coroutine) {
      return refuse("flags 'allow-oob' and 'coroutine' are incompatible: only one of them may be given");
    }
    return {};
  }

  const Value& value_;
  const Pragmas& pragmas_;
  Definition out_;
};

}  // namespace

std::unexpected<Diagnostic> Place::refuse(std::string message) const {
  return std::unexpected(Diagnostic{.at = at, .context = context, .message = std::move(message), .rule = {}});
}

std::string_view to_string(Meta meta) {
  switch (meta) {
    case Meta::kEnum: return "enum";
    case Meta::kStruct: return "struct";
    case Meta::kUnion: return "union";
    case Meta::kAlternate: return "alternate";
    case Meta::kCommand: return "command";
    case Meta::kEvent: return "event";
  }
  CHECK(false, "all kinds of definitions are handled");
}

Checked<std::vector<Definition>> read_definitions(const Parsed& parsed) {
  std::vector<Definition> definitions;
  definitions.reserve(parsed.expressions.size());
  for (const Expression& expression : parsed.expressions) {
    definitions.push_back(TRY(DefinitionReader(expression, parsed.pragmas).read()));
  }
  return definitions;
}

}  // namespace pagurus::qapi_gen
