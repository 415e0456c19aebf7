#include "json_pieces.h"

#include <set>

#include "c_names.h"
#include "cpp_writer.h"

namespace pagurus::qapi_gen {

void JsonPieces::add_string(std::string_view text) {
  pending_ += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') pending_ += '\\';
    pending_ += c;
  }
  pending_ += '"';
}

void JsonPieces::add(const JsonPieces& other) {
  for (const Piece& piece : other.pieces_) {
    if (piece.directive) {
      add_directive(piece.text);
    } else {
      add(piece.text);
    }
  }
  add(other.pending_);
}

void JsonPieces::add_directive(std::string text) {
  if (!pending_.empty()) pieces_.push_back({.text = std::move(pending_), .directive = false});
  pending_.clear();
  pieces_.push_back({.text = std::move(text), .directive = true});
}

void JsonPieces::open_if(const Condition& condition) {
  if (!condition.always()) add_directive("#if " + directive_text(condition));
}

void JsonPieces::close_if(const Condition& condition) {
  if (!condition.always()) add_directive("#endif");
}

void JsonPieces::add_comma_if_any(const std::vector<Condition>& conditions) {
  if (conditions.empty()) return;
  std::set<std::string> seen;
  std::string any;
  for (const Condition& condition : conditions) {
    const std::string text = condition.text();
    if (!seen.insert(text).second) continue;
    any += (any.empty() ? "" : " || ") + text;
  }
  add_directive("#if " + any);
  add(",");
  add_directive("#endif");
}

std::string JsonPieces::lines(std::string_view indentation) const {
  std::string result;
  const auto add_literals = [&](std::string_view text) {
    while (!text.empty()) {
      const std::string_view line = text.substr(0, text.find('\n'));
      text.remove_prefix(std::min(text.size(), line.size() + 1));
      if (!line.empty()) (result += indentation) += cpp_string(line) + '\n';
    }
  };
  for (const Piece& piece : pieces_) {
    if (piece.directive) {
      result += piece.text + '\n';
    } else {
      add_literals(piece.text);
    }
  }
  add_literals(pending_);
  return result;
}

}  // namespace pagurus::qapi_gen
