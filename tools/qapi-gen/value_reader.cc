#include "value_reader.h"

#include <fmt/format.h>

#include <unordered_set>

#include "base/result.h"
#include "parser.h"

namespace pagurus::qapi_gen {
namespace {

using Kind = Token::Kind;

class ValueReader {
 public:
  explicit ValueReader(Lexer& lexer) : lexer_(lexer) {}

  Checked<Value> read() {
    if (depth_ == kMaxValueDepth) {
      return lexer_.refuse(fmt::format("values are nested more than {} levels deep", kMaxValueDepth));
    }
    ++depth_;
    Value value{.at = lexer_.token().at, .data = {}};
    switch (lexer_.token().kind) {
      case Kind::kOpenBrace: value.data = TRY(read_object()); break;
      case Kind::kOpenBracket: value.data = TRY(read_list()); break;
      case Kind::kString: value.data = lexer_.token().string; break;
      case Kind::kTrue: value.data = true; break;
      case Kind::kFalse: value.data = false; break;
      default: return refuse_token("'{', '[', a string, true or false");
    }
    --depth_;
    // Of a list or an object, this is the closing bracket.
    TRY(lexer_.advance());
    return value;
  }

 private:
  std::unexpected<Diagnostic> refuse_token(std::string_view expected) const {
    return lexer_.refuse(fmt::format("expected {}, not {}", expected, describe(lexer_.token())));
  }

  static std::string describe(const Token& token) {
    switch (token.kind) {
      case Kind::kString: return fmt::format("the string '{}'", token.string);
      case Kind::kTrue: return "true";
      case Kind::kFalse: return "false";
      case Kind::kComment: return "documentation (##)";
      case Kind::kEnd: return "the end of the file";
      default: return fmt::format("'{}'", static_cast<char>(token.kind));
    }
  }

  // True: another one follows; false: the closing bracket has come.
  Checked<bool> more(Kind close) {
    if (lexer_.at(close)) return false;
    if (!lexer_.at(Kind::kComma)) return refuse_token(fmt::format("',' or '{}'", static_cast<char>(close)));
    TRY(lexer_.advance());
    return true;
  }

  Checked<Value::Object> read_object() {
    Value::Object object;
    std::unordered_set<std::string> keys;
    TRY(lexer_.advance());
    if (lexer_.at(Kind::kCloseBrace)) return object;
    if (!lexer_.at(Kind::kString)) return refuse_token("a string or '}'");
    do {
      if (!lexer_.at(Kind::kString)) return refuse_token("a string");
      Value::Member member{.key = lexer_.token().string, .at = lexer_.token().at, .value = {}};
      TRY(lexer_.advance());
      if (!lexer_.at(Kind::kColon)) return refuse_token(fmt::format("':' after '{}'", member.key));
      TRY(lexer_.advance());
      if (!keys.insert(member.key).second) {
        return lexer_.refuse(fmt::format("key '{}' is in this object already", member.key));
      }
      member.value = TRY(read());
      object.push_back(std::move(member));
    } while (TRY(more(Kind::kCloseBrace)));
    return object;
  }

  Checked<Value::List> read_list() {
    Value::List list;
    TRY(lexer_.advance());
    if (lexer_.at(Kind::kCloseBracket)) return list;
    if (!starts_value()) return refuse_token("'{', '[', ']', a string, true or false");
    do {
      list.push_back(TRY(read()));
    } while (TRY(more(Kind::kCloseBracket)));
    return list;
  }

  bool starts_value() const {
    const Kind kind = lexer_.token().kind;
    return kind == Kind::kOpenBrace || kind == Kind::kOpenBracket || kind == Kind::kString || kind == Kind::kTrue ||
           kind == Kind::kFalse;
  }

  Lexer& lexer_;
  int depth_ = 0;
};

}  // namespace

Checked<Value> read_value(Lexer& lexer) { return ValueReader(lexer).read(); }

}  // namespace pagurus::qapi_gen
