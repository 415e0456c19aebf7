#include "ctl/arguments.h"

#include <algorithm>
#include <optional>

#include "qapi/json_reader.h"
#include "qapi/keyval.h"
#include "qapi/scalars.h"

namespace pagurus::ctl {

using qapi::Json;

namespace {

using Kind = Introspection::Kind;

// What is given for an argument whose type is not known.
Json guessed(const std::string& text) {
  auto value = qapi::parse_json(text);
  return value ? std::move(*value) : Json(text);
}

std::optional<Json> integer_from(const std::string& text) {
  if (auto number = qapi::whole_number_from_text(text)) {
    if (!number->negative) return Json(number->magnitude);
    if (number->magnitude <= uint64_t{INT64_MAX} + 1) return Json(static_cast<int64_t>(0 - number->magnitude));
  }
  if (auto size = qapi::size_from_text(text)) return Json(*size);
  return std::nullopt;
}

class Typing {
 public:
  explicit Typing(const Introspection& introspection) : introspection_(introspection) {}

  Result<Json> value(const std::string& path, std::string_view type, const Json& tree) const {
    if (tree.is_object()) return object(path, type, tree);
    if (tree.is_array()) return list(path, type, tree);
    const std::string& text = tree.as_string();
    auto scalar = TRY(from_text(path, type, text));
    return scalar ? std::move(*scalar) : Json(text);
  }

 private:
  Result<Json> object(const std::string& path, std::string_view type, const Json& tree) const {
    auto members = introspection_.members(type, tree);
    Json result{Json::Object()};
    for (const Json::Member& given : tree.as_object()) {
      std::string below = path.empty() ? given.name : path + "." + given.name;
      auto member = std::ranges::find(members, given.name, &Introspection::Member::name);
      std::string_view member_type = member == members.end() ? std::string_view() : member->type;
      result.set(given.name, TRY(value(below, member_type, given.value)));
    }
    return result;
  }

  Result<Json> list(const std::string& path, std::string_view type, const Json& tree) const {
    Json::Array result;
    for (const Json& element : tree.as_array()) {
      result.push_back(TRY(value(path + "." + std::to_string(result.size()), element_type(type), element)));
    }
    return Json(std::move(result));
  }

  std::string_view element_type(std::string_view type) const {
    const Introspection::Type& named = introspection_.type(type);
    if (named.kind == Kind::kArray) return named.element;
    for (const std::string& branch : named.branches) {
      if (introspection_.type(branch).kind == Kind::kArray) return introspection_.type(branch).element;
    }
    return {};
  }

  // nullopt: the text is no value of that type.
  Result<std::optional<Json>> from_text(const std::string& path, std::string_view type, const std::string& text) const {
    const Introspection::Type& named = introspection_.type(type);
    switch (named.kind) {
      case Kind::kUnknown: return guessed(text);
      case Kind::kInteger: return integer_from(text);
      case Kind::kNull: return text == "null" ? std::optional(Json()) : std::nullopt;
      case Kind::kArray: return json_from(path, text, '[');
      case Kind::kObject: return json_from(path, text, '{');
      case Kind::kAlternate: return branch_from(path, named, text);
      case Kind::kNumber: {
        auto number = qapi::number_from_text(text);
        return number ? std::optional(Json(*number)) : std::nullopt;
      }
      case Kind::kBoolean: {
        auto value = qapi::bool_from_text(text);
        return value ? std::optional(Json(*value)) : std::nullopt;
      }
      case Kind::kString: return std::optional(Json(text));
      case Kind::kEnum: break;
    }
    bool known = std::ranges::find(named.values, text) != named.values.end();
    return known ? std::optional(Json(text)) : std::nullopt;
  }

  Result<std::optional<Json>> json_from(const std::string& path, const std::string& text, char opening) const {
    if (text.empty() || text.front() != opening) return std::nullopt;
    return TRY_DOING("Parameter '" + path + "'", qapi::parse_json(text));
  }

  // Every text is a string, so that a string is the last thing it is taken for.
  Result<std::optional<Json>> branch_from(const std::string& path, const Introspection::Type& alternate,
                                          const std::string& text) const {
    for (const std::string& branch : alternate.branches) {
      Kind kind = introspection_.type(branch).kind;
      if (kind == Kind::kString || kind == Kind::kAlternate || kind == Kind::kUnknown) continue;
      if (auto value = TRY(from_text(path, branch, text))) return value;
    }
    return std::nullopt;
  }

  const Introspection& introspection_;
};

Json guessed_tree(const Json& tree) {
  if (tree.is_string()) return guessed(tree.as_string());
  if (tree.is_array()) {
    Json::Array list;
    for (const Json& element : tree.as_array()) list.push_back(guessed_tree(element));
    return list;
  }
  Json object{Json::Object()};
  for (const Json::Member& member : tree.as_object()) object.set(member.name, guessed_tree(member.value));
  return object;
}

}  // namespace

Result<WrittenArguments> parse_arguments(std::span<const std::string> words) {
  if (words.empty()) return WrittenArguments{};
  if (words.size() == 1 && words[0].starts_with('{')) {
    return WrittenArguments{TRY_DOING("the arguments", qapi::parse_json(words[0])), WrittenArguments::Form::kJson};
  }
  std::string text;
  for (const std::string& word : words) {
    if (word.starts_with('{')) return fail("arguments that are a JSON object must be one word, and the only one");
    if (word.find('=') == std::string::npos) {
      return fail("'{}' is no argument; write name=value, or all arguments as one JSON object", word);
    }
    if (!text.empty()) text += ',';
    for (char c : word) text.append(c == ',' ? 2 : 1, c);
  }
  return WrittenArguments{TRY(qapi::parse_keyval(text, "")).tree};
}

Result<Json> typed_arguments(const Introspection* introspection, std::string_view command,
                             const WrittenArguments& written) {
  if (written.form == WrittenArguments::Form::kJson || written.tree.is_null()) return written.tree;
  if (introspection == nullptr) return guessed_tree(written.tree);
  const Introspection::Command* known = introspection->command(command);
  if (known == nullptr) return guessed_tree(written.tree);
  return Typing(*introspection).value("", known->arguments, written.tree);
}

}  // namespace pagurus::ctl
