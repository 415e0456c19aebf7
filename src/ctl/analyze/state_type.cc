#include "ctl/analyze/state_type.h"

#include <charconv>
#include <set>

namespace pagurus::ctl {
namespace {

using vmstate::Kind;

// Deeper than any declaration; the parser and the decoder recur that often.
constexpr int kMaxDepth = 32;
constexpr std::string_view kPunctuation = "/{}[]:;,@<=";

struct Number {
  std::string_view name;
  Kind kind;
  uint8_t size;
};
constexpr Number kNumbers[] = {
    {"u8", Kind::kUnsigned, 1}, {"u16", Kind::kUnsigned, 2}, {"u32", Kind::kUnsigned, 4}, {"u64", Kind::kUnsigned, 8},
    {"i8", Kind::kSigned, 1},   {"i16", Kind::kSigned, 2},   {"i32", Kind::kSigned, 4},   {"i64", Kind::kSigned, 8},
    {"bool", Kind::kBool, 1},   {"fd", Kind::kFd, 4},
};

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text), rest_(text) {}

  Result<StateType> whole() {
    StateType type = TRY(parse_type(0));
    if (!rest_.empty()) return unexpected("the end");
    return type;
  }

 private:
  std::unexpected<Error> unexpected(std::string_view wanted) const {
    return fail("{} is expected at byte {} of the signature", wanted, text_.size() - rest_.size());
  }
  bool take(std::string_view token) {
    if (!rest_.starts_with(token)) return false;
    rest_.remove_prefix(token.size());
    return true;
  }
  Result<void> need(std::string_view token) {
    if (!take(token)) return unexpected(fmt::format("'{}'", token));
    return {};
  }
  Result<std::string_view> take_name() {
    size_t size = std::min(rest_.find_first_of(kPunctuation), rest_.size());
    if (size == 0) return unexpected("a name");
    std::string_view name = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return name;
  }
  template <class T>
  Result<T> take_number() {
    T value{};
    auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), value);
    if (error != std::errc()) return unexpected("a number");
    rest_.remove_prefix(static_cast<size_t>(end - rest_.data()));
    return value;
  }

  Result<StateType> parse_type(int depth) {
    if (depth > kMaxDepth) return fail("the signature is nested more than {} deep", kMaxDepth);
    if (take("[")) return parse_sequence(depth);
    std::string_view name = TRY(take_name());
    if (take("/")) return parse_struct(name, depth);
    StateType type;
    if (name == "str") {
      TRY(need("<="));
      type.kind = Kind::kString;
      type.count = TRY(take_number<uint64_t>());
      return type;
    }
    for (const Number& number : kNumbers) {
      if (number.name != name) continue;
      type.kind = number.kind;
      type.size = number.size;
      return type;
    }
    return fail("the signature has a type '{}'", name);
  }

  Result<StateType> parse_sequence(int depth) {
    StateType type;
    type.element = std::make_unique<StateType>(TRY(parse_type(depth + 1)));
    TRY(need(";"));
    type.kind = take("<=") ? Kind::kList : Kind::kArray;
    type.count = TRY(take_number<uint64_t>());
    TRY(need("]"));
    return type;
  }

  Result<StateType> parse_struct(std::string_view name, int depth) {
    StateType type;
    type.kind = Kind::kStruct;
    type.name = name;
    type.version = TRY(take_number<uint16_t>());
    TRY(need("{"));
    std::set<std::string_view> names;
    while (!take("}")) {
      if (!type.fields.empty()) TRY(need(","));
      std::string_view field_name = TRY(take_name());
      if (!names.insert(field_name).second) return fail("the signature has field '{}' twice", field_name);
      TRY(need(":"));
      StateField field;
      field.name = field_name;
      field.type = TRY(parse_type(depth + 1));
      if (take("@")) field.since = TRY(take_number<uint16_t>());
      type.fields.push_back(std::move(field));
    }
    return type;
  }

  std::string_view text_;
  std::string_view rest_;
};

}  // namespace

Result<StateType> parse_signature(std::string_view text) { return Parser(text).whole(); }

}  // namespace pagurus::ctl
