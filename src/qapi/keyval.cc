#include "qapi/keyval.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <vector>

#include "qapi/json_reader.h"

namespace pagurus::qapi {
namespace {

// What has been said about one key: its value or the keys below it.
struct Node {
  std::optional<std::string> value;
  std::map<std::string, Node, std::less<>> children;
  std::vector<std::string> order;  // of the children
};

// Splits at single commas; ",," becomes one comma.
std::vector<std::string> split_parameters(std::string_view text) {
  std::vector<std::string> parts(1);
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != ',') {
      parts.back() += text[i];
    } else if (i + 1 < text.size() && text[i + 1] == ',') {
      parts.back() += ',';
      ++i;
    } else {
      parts.emplace_back();
    }
  }
  return parts;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_index(std::string_view word) { return std::ranges::all_of(word, is_digit) && !word.empty(); }
bool is_name(std::string_view word) {
  auto allowed = [](char c) { return is_letter(c) || is_digit(c) || c == '-' || c == '_'; };
  return !word.empty() && (is_letter(word[0]) || word[0] == '_') && std::ranges::all_of(word, allowed);
}

// The words of a key.
Result<std::vector<std::string_view>> split_key(std::string_view key) {
  std::vector<std::string_view> words;
  size_t start = 0;
  while (start <= key.size()) {
    size_t end = std::min(key.find('.', start), key.size());
    std::string_view word = key.substr(start, end - start);
    if (!is_name(word) && (words.empty() || !is_index(word))) {
      return fail("'{}' is no name of a parameter (it is words of letters, digits, '-' and '_' with dots between them)",
                  key);
    }
    words.push_back(word);
    start = end + 1;
  }
  if (words.size() > kMaxKeyvalDepth) return fail("Parameter '{}' has more than {} words", key, kMaxKeyvalDepth);
  return words;
}

// The path as JsonInput writes it: list.0 is list[0].
std::string child_path(const std::string& parent, std::string_view word) {
  if (parent.empty()) return std::string(word);
  return is_index(word) ? fmt::format("{}[{}]", parent, word) : fmt::format("{}.{}", parent, word);
}

Result<void> add(Node& root, std::string_view key, std::string value) {
  Node* node = &root;
  std::string path;
  for (std::string_view word : TRY(split_key(key))) {
    if (node->value) return fail("Parameter '{}' has a value already, so it cannot have parts such as '{}'", path, key);
    auto child = node->children.find(word);
    if (child == node->children.end()) {
      child = node->children.try_emplace(std::string(word)).first;
      node->order.emplace_back(word);
    }
    node = &child->second;
    path = child_path(path, word);
  }
  if (node->value) return fail("Parameter '{}' is given twice", path);
  if (!node->children.empty()) return fail("Parameter '{}' has parts already, so it cannot have a value", path);
  node->value = std::move(value);
  return {};
}

Result<Json> tree_of(Node& node, const std::string& path);

// Children that are named by numbers make a list: 0, 1, and so on without a gap.
Result<Json> list_of(Node& node, const std::string& path) {
  Json::Array list;
  for (const auto& [word, child] : node.children) {
    if (!is_index(word)) return fail("Parameter '{}' is a list with a part '{}', which is no index", path, word);
  }
  for (size_t i = 0; i < node.children.size(); ++i) {
    auto child = node.children.find(std::to_string(i));
    if (child == node.children.end()) return fail("Parameter '{}[{}]' is missing", path, i);
    list.push_back(TRY(tree_of(child->second, child_path(path, child->first))));
  }
  return Json(std::move(list));
}

Result<Json> tree_of(Node& node, const std::string& path) {
  if (node.value) return Json(std::move(*node.value));
  if (std::ranges::any_of(node.order, is_index)) return list_of(node, path);
  Json::Object object;
  for (const std::string& word : node.order) {
    Json value = TRY(tree_of(node.children.find(word)->second, child_path(path, word)));
    object.push_back({word, std::move(value)});
  }
  return Json(std::move(object));
}

std::string escaped(std::string_view value) {
  std::string text;
  for (char c : value) text.append(c == ',' ? 2 : 1, c);
  return text;
}

std::optional<std::string> scalar_text(const Json& value) {
  if (value.is_string()) return value.as_string();
  if (value.is_bool()) return value.as_bool() ? "on" : "off";
  if (value.is_number()) return value.text();
  return std::nullopt;
}

// Appends "key=value" for every scalar below.
bool append_parameters(std::string& text, const std::string& key, const Json& value) {
  auto below = [&](std::string_view word) { return key.empty() ? std::string(word) : fmt::format("{}.{}", key, word); };
  if (auto scalar = scalar_text(value); scalar && !key.empty()) {
    text += fmt::format("{}{}={}", text.empty() ? "" : ",", key, escaped(*scalar));
    return true;
  }
  if (value.is_array() && !value.as_array().empty() && !key.empty()) {
    size_t index = 0;
    return std::ranges::all_of(value.as_array(), [&](const Json& element) {
      return append_parameters(text, below(std::to_string(index++)), element);
    });
  }
  if (!value.is_object() || (value.as_object().empty() && !key.empty())) return false;
  return std::ranges::all_of(value.as_object(), [&](const Json::Member& member) {
    return append_parameters(text, below(member.name), member.value);
  });
}

Result<Keyval> parse_json_form(std::string_view text) {
  Json tree = TRY(parse_json(text));
  return Keyval{.tree = std::move(tree), .scalars = JsonInput::Scalars::kJson};
}

// Stops at the first member of the outermost object.
class FirstMember final : public Visitor {
 public:
  FirstMember() : Visitor(Direction::kRead) {}
  std::string take() { return std::move(name_); }

  Result<void> start_object(std::string_view name) override { return open_ ? stop(name) : open(); }
  Result<void> end_object() override { return {}; }
  Result<size_t> start_list(std::string_view name, size_t) override { return failure(name); }
  Result<void> end_list() override { return {}; }
  Result<bool> present(std::string_view name, bool) override { return failure(name); }
  Result<size_t> choose(std::string_view name, std::span<const Alternative>, size_t) override { return failure(name); }
  Result<void> boolean(std::string_view name, bool&) override { return stop(name); }
  Result<void> integer(std::string_view name, int64_t&, int64_t, int64_t) override { return stop(name); }
  Result<void> natural(std::string_view name, uint64_t&, uint64_t) override { return stop(name); }
  Result<void> size(std::string_view name, uint64_t&) override { return stop(name); }
  Result<void> number(std::string_view name, double&) override { return stop(name); }
  Result<void> string(std::string_view name, std::string&) override { return stop(name); }
  Result<void> enumeration(std::string_view name, size_t&, Names) override { return stop(name); }
  Result<void> null(std::string_view name) override { return stop(name); }
  Result<void> any(std::string_view name, Json&) override { return stop(name); }

 private:
  Result<void> open() {
    open_ = true;
    return {};
  }
  std::unexpected<Error> failure(std::string_view name) {
    name_ = name;
    return std::unexpected(Error("the first member is known"));
  }
  Result<void> stop(std::string_view name) { return failure(name); }

  bool open_ = false;
  std::string name_;
};

}  // namespace

Result<Keyval> parse_keyval(std::string_view text, std::string_view implied) {
  if (text.size() > kMaxKeyvalBytes) return fail("the parameters are longer than {} bytes", kMaxKeyvalBytes);
  if (text.starts_with('{')) return parse_json_form(text);
  Node root;
  if (!text.empty()) {
    std::vector<std::string> parts = split_parameters(text);
    if (parts.size() > kMaxKeyvalKeys) return fail("there are more than {} parameters", kMaxKeyvalKeys);
    bool first = true;
    for (std::string& part : parts) {
      size_t equals = part.find('=');
      bool may_imply = std::exchange(first, false) && !implied.empty();
      if (part.empty() && !may_imply) return fail("Expected a parameter after ','");
      if (equals != std::string::npos)
        TRY(add(root, part.substr(0, equals), part.substr(equals + 1)));
      else if (may_imply)
        TRY(add(root, implied, std::move(part)));
      else
        return fail("Expected '=' and a value after '{}'", part);
    }
  }
  Json tree = TRY(tree_of(root, {}));
  if (tree.is_null()) tree = Json::object();
  return Keyval{.tree = std::move(tree)};
}

std::optional<std::string> keyval_text(const Json& value) {
  std::string text;
  if (!value.is_object() || !append_parameters(text, {}, value)) return std::nullopt;
  return text;
}

std::optional<std::string> help_request(std::string_view text) {
  if (text == "help" || text == "?") return "";
  for (std::string_view ending : {",help", ",?"}) {
    if (!text.ends_with(ending) || text.starts_with('{')) continue;
    std::string_view value = text.substr(0, text.size() - ending.size());
    if (value.find(',') == std::string_view::npos) return std::string(value.substr(value.find('=') + 1));
  }
  return std::nullopt;
}

std::string first_member_shown(const std::function<Result<void>(Visitor&)>& visit) {
  FirstMember first;
  // It fails at the first member, on purpose; an object without members has no name to give.
  (void)visit(first);
  return first.take();
}

}  // namespace pagurus::qapi
