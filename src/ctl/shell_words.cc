#include "ctl/shell_words.h"

namespace pagurus::ctl {
namespace {

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

class Splitter {
 public:
  explicit Splitter(std::string_view line) : line_(line) {}

  ShellWords split() {
    while (true) {
      while (at_ < line_.size() && is_blank(line_[at_])) ++at_;
      if (at_ == line_.size()) return std::move(result_);
      result_.last_begin = at_;
      result_.words.emplace_back();
      take_word();
      result_.in_last = at_ == line_.size();
    }
  }

 private:
  void take_word() {
    std::string& word = result_.words.back();
    bool json_may_begin = true;
    bool value = false;
    while (at_ < line_.size() && !is_blank(line_[at_])) {
      char c = line_[at_++];
      if (json_may_begin && (c == '{' || (c == '[' && value)))
        take_json(c);
      else if (c == '\'' || c == '"')
        take_quoted(c);
      else if (c != '\\')
        word += c;
      else if (at_ < line_.size())
        word += line_[at_++];
      else
        result_.unclosed = c;
      json_may_begin = c == '=' && !value;
      value = value || c == '=';
    }
  }

  void take_quoted(char quote) {
    std::string& word = result_.words.back();
    while (at_ < line_.size()) {
      char c = line_[at_++];
      if (c == quote) return;
      if (c == '\\' && quote == '"' && at_ < line_.size()) c = line_[at_++];
      word += c;
    }
    result_.unclosed = quote;
  }

  void take_json(char opening) {
    std::string& word = result_.words.back();
    word += opening;
    size_t depth = 1;
    bool in_string = false;
    while (at_ < line_.size() && depth > 0) {
      char c = line_[at_++];
      word += c;
      if (c == '\\' && in_string && at_ < line_.size()) {
        word += line_[at_++];
      } else if (c == '"') {
        in_string = !in_string;
      } else if (!in_string) {
        if (c == '{' || c == '[') ++depth;
        if (c == '}' || c == ']') --depth;
      }
    }
    if (depth > 0) result_.unclosed = opening;
  }

  std::string_view line_;
  size_t at_ = 0;
  ShellWords result_;
};

}  // namespace

ShellWords split_words(std::string_view line) { return Splitter(line).split(); }

}  // namespace pagurus::ctl
